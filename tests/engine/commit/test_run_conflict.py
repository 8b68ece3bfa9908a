"""Another writer appends to the thread of an active run: the run has lost the thread and stops."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from support.behaviors import PhaseBehavior, act_in
from support.log_reads import read_reasons
from support.logs import changeset
from support.runtimes import open_runtime
from threadlog.engine import Agent, Context, ModelRequest, ScriptedModel, ToolCall
from threadlog.engine.events import AssistantTurn, Event, RunStarted, StepStarted, ToolCallStarted
from threadlog.engine.models.model import FinishPart, Part, ToolCallPart
from threadlog.reducers import Set
from threadlog.store import ANY, Log, VersionConflict

pytestmark = pytest.mark.anyio


def meddle(path: Path, number: int = 1) -> str:
    """Append to thread t1 through a log of its own, as another process would."""
    with Log.open(path, durability="normal") as log:
        for n in range(number):
            log.append(changeset(f"other{n}"), ANY)
    return "done"


class MeddlingModel:
    """Meddles while it answers, when the run's beginning is in the log."""

    name = "meddling"

    def __init__(self, path: Path, number: int, *calls: ToolCall) -> None:
        self.begun = anyio.Event()
        self._path = path
        self._number = number
        self._calls = calls

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        await self.begun.wait()
        meddle(self._path, self._number)
        for call in self._calls:
            yield ToolCallPart(call)
        yield FinishPart("stop")


async def fenced(path: Path, agent: Agent) -> list[Event]:
    """A run that meets a conflict: what it told until then."""
    async with open_runtime(path, agent) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        if isinstance(agent.model, MeddlingModel):
            agent.model.begun.set()
        with pytest.raises(VersionConflict, match="thread 't1' is at version"):
            await going.result()
        return [event async for event in going]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_run_stops_when_another_writer_appends_during_a_tool_call(path: Path, number: int) -> None:
    def book() -> str:
        return meddle(path, number)

    told = await fenced(path, Agent("planner", ScriptedModel(ToolCall("book"), "hello"), tools=[book]))

    assert read_reasons(path) == ["run_started", "assistant_turn", *["edited"] * number]
    assert [type(event) for event in told] == [RunStarted, StepStarted, AssistantTurn, ToolCallStarted]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_run_stops_when_another_writer_appends_during_a_model_call(path: Path, number: int) -> None:
    """Its end is not appended either: another writer owns the thread, and recovery closes the run. The
    caller of result() gets the conflict itself."""
    end = act_in("run_end", Set("/a", 1))

    told = await fenced(path, Agent("planner", MeddlingModel(path, number), behaviors=[end]))

    assert read_reasons(path) == ["run_started", *["edited"] * number]
    assert [type(event) for event in told] == [RunStarted, StepStarted]


@pytest.mark.parametrize("number", [1, 2])
async def test_no_tool_starts_if_its_call_could_not_be_logged(path: Path, number: int) -> None:
    called: list[str] = []

    def book() -> None:
        called.append("called")

    await fenced(path, Agent("planner", MeddlingModel(path, number, ToolCall("book")), tools=[book]))

    assert called == []
    assert read_reasons(path) == ["run_started", *["edited"] * number]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_start_is_retried_when_another_writer_appends_first(path: Path, number: int) -> None:
    def start(context: Context) -> None:
        if context.phase == "run_start":
            meddle(path, number)

    async with open_runtime(
        path, Agent("planner", ScriptedModel("hello"), behaviors=[PhaseBehavior(start)])
    ) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()

    assert read_reasons(path) == [*["edited"] * number, "run_started", "assistant_turn", "run_finished"]


async def test_the_thread_can_be_used_again_after_a_conflict(path: Path) -> None:
    await fenced(path, Agent("planner", MeddlingModel(path, 1)))

    async with open_runtime(path, Agent("planner", ScriptedModel("hello"))) as runtime:
        result = await (await runtime.start("planner", "again", thread="t1", if_active="supersede")).result()

    assert (result.output, result.version) == ("hello", 6)


async def test_a_run_that_lost_its_thread_waits_for_no_behavior(path: Path) -> None:
    """Not even for one that a cancellation would wait for."""

    class Late(PhaseBehavior):
        async def run_end(self, context: Context) -> None:
            await anyio.sleep_forever()

    late = Late(lambda context: None)
    with anyio.fail_after(10):
        told = await fenced(path, Agent("planner", MeddlingModel(path, 1), behaviors=[late]))

    assert [type(event) for event in told] == [RunStarted, StepStarted]
