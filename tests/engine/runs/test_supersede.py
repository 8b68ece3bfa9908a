"""Superseding: a run takes the place of another one on its thread, wherever and in whatever state that is."""

import time
from pathlib import Path
from statistics import median

import anyio
import pytest

from support.agents import gated_agent
from support.checks import assert_controlled, superseded_by
from support.log_reads import read_commands, read_run
from support.models import GatedModel, recording_model, request_messages
from support.runtimes import open_runtimes, start_waiting_run
from support.tools import ERASE
from threadlog.engine import Decision, Runtime, ToolCall
from threadlog.store import Log
from threadlog.store.errors import RunOver

pytestmark = pytest.mark.anyio


def reasons_of(path: Path, run_id: str) -> list[str]:
    return [changeset.reason for changeset in read_run(path, run_id)]


def assert_one_append(path: Path, old: str, new: str) -> None:
    """The old run's end and the new run's start stand one behind the other in the whole log."""
    with Log.open(path, readonly=True) as log:
        ends = {entry.changeset.run_id: entry.position for entry in log.entries() if entry.changeset.run}
        starts = [
            e for e in log.entries() if (e.changeset.run_id, e.changeset.reason) == (new, "run_started")
        ]
    assert [entry.position for entry in starts] == [ends[old] + 1]


async def test_a_run_takes_the_place_of_one_that_goes_on_here(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        old = await runtime.start("planner", "go", thread="t1")
        interrupted = await model.next_request()
        new = await runtime.start("planner", "stop", thread="t1", if_active="supersede")
        asked = await model.next_request()
        ended = await old.result()
        assert [row.run_id for row in runtime.active_runs()] == [new.run_id]
        asked.answer("stopped")
        assert (await new.result()).output == "stopped"

    assert (ended.status, ended.termination) == ("done", superseded_by(new.run_id))
    assert interrupted.finished.is_set()
    assert request_messages(asked.request)[-2:] == [("user", "go"), ("user", "stop")]
    assert reasons_of(path, old.run_id) == ["run_started", "superseded"]
    assert_one_append(path, old.run_id, new.run_id)


async def test_a_run_that_goes_on_elsewhere_stops_within_a_tenth_of_a_second(path: Path) -> None:
    """and writes nothing more, though its model answers; its handle says who took its place"""
    model, other_model = GatedModel(), GatedModel()
    took: list[float] = []
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(other_model)]) as (runtime, other):
        for thread in "abcde":
            old = await runtime.start("planner", "go", thread=thread)
            asked = await model.next_request()
            new = await other.start("planner", "stop", thread=thread, if_active="supersede")
            began = time.perf_counter()
            await asked.finished.wait()
            took.append(time.perf_counter() - began)
            asked.answer("too late")
            assert (await old.result()).termination == superseded_by(new.run_id)
            assert [type(event).__name__ async for event in old] == ["RunStarted", "RunFinished"]
            (await other_model.next_request()).answer("stopped")
            assert (await new.result()).output == "stopped"
            assert reasons_of(path, old.run_id) == ["run_started", "superseded"]

    assert median(took) < 0.1


async def test_a_run_takes_the_place_of_one_that_waits(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        old = await start_waiting_run(runtime, model)
        new = await runtime.start("planner", "stop", thread="t1", if_active="supersede")
        assert runtime.pending(old) == []
        with pytest.raises(RunOver, match="cancelled"):
            await runtime.decide(old, [Decision.approve("c1")])
        assert (await runtime.get_run(old).result()).termination == superseded_by(new.run_id)
        (await model.next_request()).answer("stopped")
        await new.result()

    end = read_run(path, old)[-1]
    assert [action.payload["status"] for action in end.actions] == ["done", "cancelled"]
    assert_one_append(path, old, new.run_id)


async def test_a_run_that_waits_tells_its_followers_elsewhere_that_its_place_is_taken(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        old = await start_waiting_run(runtime, model)
        events = other.subscribe(old)
        new = await runtime.start("planner", "stop", thread="t1", if_active="supersede")
        told = [type(event).__name__ async for event in events]
        (await model.next_request()).answer("stopped")
        await new.result()

    assert told[-2:] == ["RunFinished", "RunFinished"]


async def test_the_end_of_a_run_whose_place_is_taken_has_all_that_was_wanted_of_it(path: Path) -> None:
    """though the run has seen none of it: its words stand in the conversation, its decision at the call"""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        old = await runtime.start("planner", "go", thread="t1")
        await model.next_request()
        await other.steer(old.run_id, "Be brief", by="ann")
        await other.decide(old.run_id, [Decision.approve("c7", by="bob")])
        await other.cancel(old.run_id, by="cleo")
        new = await runtime.start("planner", "stop", thread="t1", if_active="supersede")
        asked = await model.next_request()
        asked.answer("stopped")
        await new.result()
        assert runtime.state("t1")["__kernel"]["waiting_decisions"] == {"by_target": {}}

    assert [entry.by for entry in read_commands(path, old.run_id)] == ["ann", "bob", "cleo"]
    assert request_messages(asked.request)[-3:] == [("user", "go"), ("user", "Be brief"), ("user", "stop")]


async def test_a_decision_that_a_waiting_run_has_not_seen_is_in_its_end(path: Path) -> None:
    """No process has its agent: the decision waits in the log."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        old = await start_waiting_run(runtime, model)
    other = gated_agent(model, name="other")
    async with Runtime.open(path, agents=[other], durability="normal") as runtime:
        await runtime.decide(old, [Decision.approve("c1", by="ann")])
        new = await runtime.start("other", "stop", thread="t1", if_active="supersede")
        (await model.next_request()).answer("stopped")
        await new.result()

    await assert_controlled(path, gated_agent(), other)
    end = read_run(path, old)[-1]
    assert [action.action for action in end.actions] == [
        "MoveRun",
        "ApplyCommands",
        "DecideToolCall",
        "MoveToolCall",
    ]


async def test_of_many_that_take_the_same_place_at_the_same_moment_each_has_it_once(path: Path) -> None:
    """One after the other: no start is refused, no free place is taken twice, and none waits."""
    model = GatedModel()

    async def start(runtime: Runtime, thread: str) -> None:
        await runtime.start("planner", "stop", thread=thread, if_active="supersede")

    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        for thread in ("t1", "t2", "t3", "t4", "t5", "t6"):
            await runtime.start("planner", "go", thread=thread)
            async with anyio.create_task_group() as tasks:
                for each in (runtime, other, runtime, other):
                    tasks.start_soon(start, each, thread)
            (last,) = runtime.active_runs(thread)
            assert await runtime.cancel(last.run_id, wait=True)
            ends = [row.termination for row in runtime.log.runs(thread)]
            assert sorted(end.code or end.type for end in ends if end) == ["cancelled", *["superseded"] * 4]


async def test_one_that_cannot_begin_is_no_hindrance(path: Path) -> None:
    """The prompt of the first of two simultaneous starts cannot be stored: only that start is refused."""
    model = GatedModel()
    outcomes: list[str] = []

    async def start(prompt: str) -> None:
        try:
            run = await runtime.start("planner", prompt, thread="t1", if_active="supersede")
            outcomes.append((await run.result()).output)
        except Exception as err:
            outcomes.append(type(err).__name__)

    async with open_runtimes(path, [gated_agent(model)]) as (runtime,), anyio.create_task_group() as tasks:
        tasks.start_soon(start, "\ud800")
        tasks.start_soon(start, "go")
        (await model.next_request()).answer("gone")

    assert sorted(outcomes) == ["ContentError", "gone"]


async def test_one_that_cannot_be_stopped_at_once_keeps_the_thread_from_nobody(path: Path) -> None:
    """A tool shields itself: the runs after its own still start, wait and continue."""
    begun, let = anyio.Event(), anyio.Event()

    async def hold() -> None:
        begun.set()
        with anyio.CancelScope(shield=True):
            await let.wait()

    stubborn = gated_agent(recording_model(ToolCall("hold"))[0], tools=[hold], name="stubborn")
    agent = gated_agent(recording_model(ERASE, "gone", "again")[0])
    async with open_runtimes(path, [stubborn, agent]) as (runtime,):
        await runtime.start("stubborn", "go", thread="t1")
        await begun.wait()
        new = await runtime.start("planner", "stop", thread="t1", if_active="supersede")
        assert (await new.result()).status == "waiting"
        with anyio.move_on_after(3):
            await runtime.decide(new.run_id, [Decision.approve("c1")])
            outputs = [(await new.result()).output]
            queued = await runtime.start("planner", "again", thread="t1", if_active="queue")
            outputs.append((await queued.result()).output)
        let.set()
    assert outputs == ["gone", "again"]


async def test_words_to_a_run_whose_place_is_taken_elsewhere_keep_it_from_nothing(path: Path) -> None:
    """They arrive together: the run still stops, and commands to other runs are applied."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(GatedModel())]) as (runtime, other):
        old = await runtime.start("planner", "go", thread="t1")
        interrupted = await model.next_request()
        beside = await runtime.start("planner", "go", thread="t2")
        await model.next_request()
        await other.steer(old.run_id, "Be brief")
        await other.start("planner", "stop", thread="t1", if_active="supersede")
        with anyio.fail_after(3):
            await interrupted.finished.wait()
            assert await other.cancel(beside.run_id, wait=True)
            await old.result()
