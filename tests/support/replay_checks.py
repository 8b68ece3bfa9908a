"""Runs whose log is looked at afterwards: it is sound, and each run executed again gives the same bytes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.runs import assert_sound, hearing, history
from threadlog.engine import Agent, ModelRequest, Registry, Runtime, ScriptedModel
from threadlog.engine.agents.registry import Registered
from threadlog.engine.delegation.equipment import Equipment
from threadlog.engine.events.event import RunResult
from threadlog.engine.models.scripted import Script
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Reducer, replay
from threadlog.store import Log, Message


async def assert_replays(path: Path, *agents: Registered) -> None:
    """The log is sound, and today's code does in every run of it what is in there."""
    assert_sound(path, all_reducers(agents))
    with Log.open(path, readonly=True) as log:
        for row in log.runs():
            assert await replay_run(log, row.run_id, agents) is None


def all_reducers(agents: Sequence[Registered]) -> list[Reducer]:
    """Those of the agents as they run."""
    registry = Registry(tuple({agent.name: agent for agent in agents}.values()))
    running_agents = [Equipment().equip(agent, registry) for agent in agents]
    return list(dict.fromkeys(one for agent in running_agents for one in agent.all_reducers()))


@asynccontextmanager
async def running(path: Path, *agents: Registered) -> AsyncIterator[Runtime]:
    """A runtime; what it has written is looked at when it is closed."""
    async with Runtime.open(path, agents=agents, durability="normal") as runtime:
        yield runtime
    await assert_replays(path, *agents)


async def run(path: Path, agent: Agent, prompt: str = "go") -> RunResult:
    """One run of the agent on thread t1, up to its end or to where it waits."""
    async with running(path, agent) as runtime:
        return await (await runtime.start(agent.name, prompt, thread="t1")).result()


def conversation(path: Path) -> tuple[Message, ...]:
    return replay(history(path)).messages


def actions(path: Path, name: str) -> list[dict[str, Any]]:
    """What the log has of the actions of one name."""
    return [
        action.payload for changeset in history(path) for action in changeset.actions if action.action == name
    ]


def listening(*turns: Script, name: str = "scripted") -> tuple[ScriptedModel, list[ModelRequest]]:
    """A scripted model, and the requests that it gets."""
    requests: list[ModelRequest] = []
    return ScriptedModel(*(hearing(requests, turn) for turn in turns), name=name), requests


def offered(request: ModelRequest) -> list[str]:
    """The names of the tools in a request."""
    return [tool.name for tool in request.tools]
