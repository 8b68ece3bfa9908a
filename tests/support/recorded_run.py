"""A recorded run and its agent, to be executed again by the same or a changed agent."""

from pathlib import Path
from typing import Any

from support.runs import agent, history, run
from threadlog.engine import Agent, ToolCall, Turn
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Divergence
from threadlog.reducers.check import NotChecked
from threadlog.store import Log
from threadlog.store.changeset import Usage

CALLS = [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("spend", {"amount": 3}, "c2")]
TURNS = [Turn(text="I add", tool_calls=CALLS, usage=Usage(input_tokens=5)), "hello"]


async def replayed(path: Path, planner: Agent) -> Divergence | NotChecked | None:
    """The one run of the log, executed again by this agent."""
    with Log.open(path, readonly=True) as log:
        return await replay_run(log, history(path)[0].run_id or "", [planner])


async def compared(path: Path, then: Agent, today: Agent) -> Divergence:
    """What is found when one agent has run and another one is here today."""
    await run(path, then)
    assert await replayed(path, then) is None
    found = await replayed(path, today)
    assert isinstance(found, Divergence)
    return found


def base(**fields: Any) -> Agent:
    return agent(*TURNS, **fields)
