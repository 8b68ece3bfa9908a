"""A recorded run, replayed by its own agent or by a changed one."""

from pathlib import Path
from typing import Any

from support.agents import scripted_agent
from support.log_reads import read_history
from support.runtimes import run_agent
from threadlog.engine import Agent, ToolCall, Turn
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Divergence
from threadlog.reducers.check import NotChecked
from threadlog.store import Log
from threadlog.store.changeset import Usage

CALLS = [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("spend", {"amount": 3}, "c2")]
TURNS = [Turn(text="I add", tool_calls=CALLS, usage=Usage(input_tokens=5)), "hello"]


def recorded_agent(**fields: Any) -> Agent:
    """Return a scripted agent that calls two tools and then answers."""
    return scripted_agent(*TURNS, **fields)


async def replay_with(path: Path, agent: Agent) -> Divergence | NotChecked | None:
    """Replay the only run of a log with an agent."""
    with Log.open(path, readonly=True) as log:
        return await replay_run(log, read_history(path)[0].run_id or "", [agent])


async def find_divergence(path: Path, recorded: Agent, changed: Agent) -> Divergence:
    """Run one agent, and return where another one diverges from its recording."""
    await run_agent(path, recorded)
    assert await replay_with(path, recorded) is None
    found = await replay_with(path, changed)
    assert isinstance(found, Divergence)
    return found
