"""Subscribing to a run: from any cursor, in any process, while it is active and when it has finished."""

import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.logs import changeset
from support.programs import command, environment, ready
from support.runtimes import open_runtime
from support.tools import add, erase
from support.trip_output import TRIP, Trip, final
from threadlog.engine import Agent, Decision, ModelRequest, Permission, Run, Runtime, ScriptedModel, ToolCall
from threadlog.engine.events import Cursor, run_events
from threadlog.engine.events.event import (
    AssistantTurn,
    DurableEvent,
    Event,
    Lagged,
    RunFinished,
    RunResumed,
    RunStarted,
    Steered,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDecided,
    ToolCallFinished,
    ToolCallSuspended,
)
from threadlog.engine.models.model import FinishPart, Part, TextPart
from threadlog.store import ANY, Log, Message
from threadlog.store.changeset import RunStatus, Termination
from threadlog.store.errors import NotFound

pytestmark = pytest.mark.anyio

ERASE = ToolCall("erase", {}, "c1")
ADD = ToolCall("add", {"a": 1, "b": 2}, "c2")


class Paced:
    """Writes its answer piece by piece, when it is let."""

    name = "paced"

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces
        self.let = anyio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        for piece in self._pieces:
            await self.let.wait()
            yield TextPart(piece)
        yield FinishPart("stop")


class Ear:
    """A listener, and what it has heard."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.begun = anyio.Event()

    async def listen(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            self.heard.append(event)
            self.begun.set()


def eraser(*turns: Any) -> Agent:
    return Agent("planner", ScriptedModel(*turns), tools=[erase, add])


def paced(model: Paced) -> Agent:
    return Agent("planner", model)


def logged(path: Path) -> list[DurableEvent]:
    with Log.open(path, readonly=True) as log:
        return [event for row in log.runs("t1") for event in run_events(log, row.run_id)]


def told(events: list[Event]) -> list[Event]:
    return [event for event in events if event.cursor]


async def begun(runtime: Runtime) -> Run:
    return await runtime.start("planner", "go", thread="t1")


async def decided(runtime: Runtime, run_id: str) -> Run:
    run = await runtime.decide(run_id, [Decision.approve("c1")])
    assert run
    return run


async def test_a_subscription_spans_all_epochs(path: Path) -> None:
    ear = Ear()
    async with (
        open_runtime(path, eraser([ERASE, ADD], "I wait", "gone")) as runtime,
        anyio.create_task_group() as tasks,
    ):
        run = await begun(runtime)
        tasks.start_soon(ear.listen, runtime.subscribe(run.run_id))
        assert (await run.result()).status == "waiting"
        await decided(runtime, run.run_id)

    kinds = [type(event) for event in told(ear.heard)]
    assert told(ear.heard) == logged(path)
    assert [kind for kind in kinds if kind is not AssistantTurn] == [
        RunStarted,
        ToolCallSuspended,
        ToolCallFinished,
        StepFinished,
        RunFinished,
        RunResumed,
        ToolCallDecided,
        ToolCallFinished,
        StepFinished,
        StepFinished,
        RunFinished,
    ]


async def test_a_returning_subscriber_continues_after_any_cursor(path: Path) -> None:
    async with open_runtime(path, eraser(ADD, "three")) as runtime:
        run = await begun(runtime)
        await run.result()
        everything = [event async for event in runtime.subscribe(run.run_id)]
        for n, seen in enumerate(everything, 1):
            assert [event async for event in runtime.subscribe(run.run_id, seen.cursor)] == everything[n:]

    assert everything == logged(path)


async def test_a_subscriber_that_returns_during_the_run_misses_nothing(path: Path) -> None:
    model = Paced("one ", "two ", "three")
    async with open_runtime(path, paced(model)) as runtime:
        run = await begun(runtime)
        first = runtime.subscribe(run.run_id)
        seen = await anext(first)
        model.let.set()
        again = [event async for event in runtime.subscribe(run.run_id, seen.cursor)]

    assert [seen, *told(again)] == logged(path)
    assert "".join(event.text for event in again if isinstance(event, TextDelta)) == "one two three"


async def test_a_slow_subscriber_is_told_that_it_lagged_and_misses_no_durable_event(path: Path) -> None:
    model = Paced(*["word "] * 3000)
    async with open_runtime(path, paced(model)) as runtime:
        run = await begun(runtime)
        slow = runtime.subscribe(run.run_id)
        heard = [await anext(slow)]
        model.let.set()
        heard.append(await anext(slow))
        await run.result()
        heard += [event async for event in slow]

    assert told(heard) == logged(path)
    assert [type(event) for event in heard] == [
        RunStarted,
        StepStarted,
        Lagged,
        AssistantTurn,
        StepFinished,
        RunFinished,
    ]


async def test_a_subscriber_may_leave_anywhere_and_leaves_nothing_behind(path: Path) -> None:
    async with open_runtime(path, eraser(ERASE)) as runtime:
        run = await begun(runtime)
        await run.result()
        async for event in runtime.subscribe(run.run_id):
            if isinstance(event, ToolCallSuspended):
                break

        assert list(runtime._parts.environment.streams._broadcasts) == []


async def test_another_runtime_can_subscribe_to_an_active_run(path: Path) -> None:
    ears = [Ear(), Ear(), Ear()]
    model = Paced("hello")
    async with open_runtime(path, paced(model)) as here, Runtime.open(path, agents=[]) as there:
        run = await begun(here)
        async with anyio.create_task_group() as tasks:
            for ear in ears:
                tasks.start_soon(ear.listen, there.subscribe(run.run_id))
                await ear.begun.wait()
            model.let.set()

    assert [ear.heard for ear in ears] == [logged(path)] * 3


@pytest.mark.does_not_replay("the test appends messages to the run by hand")
async def test_events_from_another_process_arrive_within_a_tenth_of_a_second(path: Path) -> None:
    """The best of several tries: the machine may be busy."""
    delays: list[float] = []
    async with Runtime.open(path, agents=[eraser(ERASE)]) as here, Runtime.open(path, agents=[]) as there:
        run = await begun(here)
        await run.result()
        events = there.subscribe(run.run_id)
        with Log.open(path, durability="normal") as log:
            while not isinstance(await anext(events), RunFinished):
                pass
            for n in range(5):
                message = Message(id=f"m{n}", role="user", origin="steer")
                said = changeset(f"c{n}", run_id=run.run_id, reason="user_message", messages=(message,))
                version = log.append(said, ANY)
                appended = time.monotonic()
                assert await anext(events) == Steered(message, Cursor(version, 0))
                delays.append(time.monotonic() - appended)

    assert min(delays) < 0.1


async def test_a_subscription_follows_the_run_from_runtime_to_runtime(path: Path) -> None:
    """Published here, then read from the log, then published by a third runtime: each durable event once."""
    ear = Ear()
    planner = eraser(ERASE, "gone")
    async with open_runtime(path, planner) as here, Runtime.open(path, agents=[planner]) as there:
        run = await begun(here)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ear.listen, here.subscribe(run.run_id))
            first = [event async for event in run]
            resumed = await decided(there, run.run_id)
            second = [event async for event in run]
            assert isinstance(end := second[-1], RunFinished)
            assert (await run.result(), await resumed.result()) == (end.result, end.result)

    assert told(ear.heard) == [*told(first), *second] == logged(path)


async def test_a_run_may_return_from_another_runtime(path: Path) -> None:
    """The events of the other runtime come before those of the new epoch."""
    ear = Ear()
    again = ToolCall("erase", {"amount": 2}, "c1")
    planner = eraser(ERASE, again, "gone")
    async with open_runtime(path, planner) as here, Runtime.open(path, agents=[planner]) as there:
        run = await begun(here)
        await run.result()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ear.listen, here.subscribe(run.run_id))
            await ear.begun.wait()
            await (await decided(there, run.run_id)).result()
            await (await decided(here, run.run_id)).result()

    assert told(ear.heard) == logged(path)


async def test_another_process_can_subscribe_to_an_active_run(path: Path) -> None:
    model = Paced("hello")
    async with open_runtime(path, paced(model)) as runtime:
        run = await begun(runtime)
        begin, pipe = command("subscriber.py", path, run.run_id), subprocess.PIPE
        with subprocess.Popen(begin, stdout=pipe, text=True, env=environment()) as process:
            await anyio.to_thread.run_sync(ready, process)
            model.let.set()
            output, _ = await anyio.to_thread.run_sync(process.communicate)

    assert output.splitlines() == [f"{fact.cursor} {type(fact).__name__}" for fact in logged(path)]


async def test_a_handle_follows_the_next_epoch_after_a_wait(path: Path) -> None:
    async with open_runtime(path, eraser(ERASE, "gone")) as runtime:
        run = await begun(runtime)
        assert (await run.result()).status == "waiting"
        first = [event async for event in run]
        resumed = await decided(runtime, run.run_id)
        second = [event async for event in run]
        result = await run.result()

        assert result is await run.result()
        assert (result.output, result) == ("gone", await resumed.result())
        assert told([event async for event in run]) == told(second)
    assert [*told(first), *told(second)] == logged(path)


async def test_output_is_json_in_the_log_and_an_instance_in_the_result(path: Path) -> None:
    planner = Agent(
        "planner",
        ScriptedModel(final(id="c1")),
        output_type=Trip,
        behaviors=[Permission(ask=["final_output"])],
    )
    async with open_runtime(path, planner) as here, Runtime.open(path, agents=[planner]) as there:
        run = await begun(here)
        await run.result()
        await (await decided(there, run.run_id)).result()
        result = await run.result()

    (*_, ended) = logged(path)
    assert isinstance(ended, RunFinished)
    assert (result.output, ended.result.output) == (TRIP, TRIP.model_dump(mode="json"))


async def test_subscribing_to_an_unknown_run_is_refused(path: Path) -> None:
    async with open_runtime(path, eraser()) as runtime:
        with pytest.raises(NotFound, match="there is no run 'r1'"):
            runtime.subscribe("r1")


async def test_subscriptions_end_when_the_runtime_closes(path: Path) -> None:
    ears = [Ear(), Ear()]
    planners = [eraser(ERASE), Agent("writer", Paced("never"))]
    async with anyio.create_task_group() as tasks, open_runtime(path, *planners) as runtime:
        waiting, writing = await begun(runtime), await runtime.start("writer", "go", thread="t2")
        await waiting.result()
        for run, ear in zip((waiting, writing), ears, strict=True):
            tasks.start_soon(ear.listen, runtime.subscribe(run.run_id))
            await ear.begun.wait()

    last = [ear.heard[-1] for ear in ears]
    assert [isinstance(event, RunFinished) and event.result.status for event in last] == ["waiting", "done"]


@pytest.mark.does_not_replay("the end of the run is written by hand")
async def test_subscribers_of_a_run_that_lost_its_thread_see_its_end(path: Path) -> None:
    """Its subscribers and its handle see how another process has ended it."""
    model = Paced("hello")
    done = RunStatus(status="done", termination=Termination(type="cancelled", detail="superseded"))
    ear = Ear()
    async with Runtime.open(path, agents=[paced(model)]) as runtime, anyio.create_task_group() as tasks:
        run = await begun(runtime)
        tasks.start_soon(ear.listen, runtime.subscribe(run.run_id))
        await ear.begun.wait()
        with Log.open(path) as log:
            log.append(changeset("c1", run_id=run.run_id, reason="superseded", run=done), 1)
        model.let.set()
        assert (await run.result()).termination == done.termination

    assert told(ear.heard) == logged(path)
    assert isinstance(ear.heard[-1], RunFinished)
