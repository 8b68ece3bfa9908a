"""Runs that go on when a test lets them, in any number of runtimes on one file; and what their log holds."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from support.replay_checks import all_reducers
from support.runs import add, assert_sound, erase
from threadlog.engine import Agent, Effects, ModelRequest, Registry, Runtime, ScriptedModel, ToolCall
from threadlog.engine.delegation.equipment import Equipment
from threadlog.engine.models.model import Part
from threadlog.engine.models.scripted import Answer
from threadlog.engine.replay.replay import replay_run
from threadlog.store import Changeset, Log
from threadlog.store.appender import changes
from threadlog.store.changeset import ControlEntry, Termination, control_stream

PATIENCE = 30.0
"""Seconds after which what a test waits for does not come."""


class Asked:
    """A request at the gate."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.said: Answer = "done"
        self.answered = anyio.Event()
        self.left = anyio.Event()
        """Nobody waits for the answer any more."""

    def answer(self, said: Answer) -> None:
        self.said = said
        self.answered.set()


class GatedModel:
    """A model whose answers the test gives: every request waits at the gate for its own."""

    name = "gated"

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self.waiting: list[Asked] = []
        """Requests that have no answer yet."""
        self._tell = tell
        """Called whenever there is one more or one less."""
        self._fresh: list[Asked] = []
        self._news = anyio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        asked = Asked(request)
        self.waiting.append(asked)
        self._fresh.append(asked)
        self._news.set()
        self._tell()
        try:
            await asked.answered.wait()
        finally:
            self.waiting.remove(asked)
            asked.left.set()
            self._tell()
        async for part in ScriptedModel(asked.said).stream(request):
            yield part

    async def asked(self) -> Asked:
        """The next request, in the order in which they come. A run that could not begin waits for none."""
        with anyio.fail_after(PATIENCE):
            while True:
                while self._fresh:
                    if not (asked := self._fresh.pop(0)).left.is_set():
                        return asked
                self._news = anyio.Event()
                await self._news.wait()

    async def answer_all(self, said: Answer) -> None:
        """Answer whatever comes, without end."""
        while True:
            while self._fresh:
                self._fresh.pop(0).answer(said)
            self._news = anyio.Event()
            await self._news.wait()


def planner(model: Any = None, **fields: Any) -> Agent:
    """An agent with two tools, of which `erase` asks a person first."""
    return Agent(**{"name": "planner", "model": model or GatedModel(), "tools": [erase, add], **fields})


@asynccontextmanager
async def opened(
    path: Path, *sets: list[Agent], later: Sequence[Agent] = (), effects: Effects | None = None
) -> AsyncIterator[list[Runtime]]:
    """A runtime for each set of agents, all on one file. What they and `later` ones leave is looked at."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Runtime.open(path, agents=agents, durability="normal", effects=effects)
            )
            for agents in sets
        ]
    await assert_controlled(path, *(agent for agents in sets for agent in agents), *later)


async def assert_controlled(path: Path, *agents: Agent) -> None:
    """The log is sound; runs that ended have seen all that was wanted, and give the same bytes again."""
    assert_sound(path, all_reducers(agents))
    with Log.open(path, readonly=True) as log:
        for row in log.runs():
            if row.status == "done":
                assert row.control == log.head(control_stream(row.run_id))
                assert await replay_run(log, row.run_id, _in_force(log, row.run_id, agents)) is None


def _in_force(log: Log, run_id: str, agents: Sequence[Agent]) -> list[Agent]:
    """Those that there are, and of the run's own name those with which it began."""
    began = {each.agent.name: each.agent.fingerprint for each in log.read_run(run_id) if each.agent}
    registry = Registry(tuple({agent.name: agent for agent in agents}.values()))
    prints = [Equipment().equip(agent, registry).snapshot().fingerprint for agent in agents]
    return [
        agent
        for agent, fingerprint in zip(agents, prints, strict=True)
        if agent.name not in began or fingerprint in began.values()
    ]


def entries(path: Path, run_id: str) -> list[ControlEntry]:
    """What was wanted of a run, in order."""
    with Log.open(path, readonly=True) as log:
        return [each.entry for each in log.read(control_stream(run_id)) if each.entry]


def changesets(path: Path, run_id: str) -> list[Changeset]:
    with Log.open(path, readonly=True) as log:
        return list(log.read_run(run_id))


async def until(log: Log, holds: Callable[[], bool]) -> None:
    """Return when something holds of the log, which it will after some commit."""
    with anyio.fail_after(PATIENCE):
        async with aclosing(changes(log)) as news:
            async for _ in news:
                if holds():
                    return


ADD = ToolCall("add", {"a": 1, "b": 2}, "c1")


ERASE = ToolCall("erase", {}, "c1")


async def waiting(runtime: Runtime, model: GatedModel, thread: str = "t1") -> str:
    """The id of a run that waits for a person."""
    run = await runtime.start("planner", "go", thread=thread)
    (await model.asked()).answer(ERASE)
    assert (await run.result()).status == "waiting"
    return run.run_id


def place_taken(by: str) -> Termination:
    return Termination(type="cancelled", code="superseded", detail=f"run {by} took its place")
