"""Cancelling a run and all that it has started, wherever those runs are and in whatever state."""

from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.log_reads import read_commands, read_run
from support.models import GatedModel
from support.runtimes import open_runtimes
from support.tools import ERASE
from threadlog.engine import Run, Runtime
from threadlog.engine.runs.placement import IfActive
from threadlog.store import Changeset, Log
from threadlog.store.errors import NotFound, RunOver, ThreadAlreadyRunning

pytestmark = pytest.mark.anyio


async def started(runtime: Runtime, thread: str, parent: Run | None = None) -> Run:
    return await runtime.start("planner", "go", thread=thread, parent=parent.run_id if parent else None)


def changesets_behind(path: Path, position: int) -> list[Changeset]:
    with Log.open(path, readonly=True) as log:
        return [entry.changeset for entry in log.entries(position)]


async def test_to_cancel_a_run_cancels_all_that_it_has_started(path: Path) -> None:
    """running here and elsewhere, waiting, queued; and what those have started"""
    model, other_model = GatedModel(), GatedModel()
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(other_model)]) as (runtime, other):
        root = await started(runtime, "root")
        waits = await started(other, "waits", root)
        (await other_model.next_request()).answer(ERASE)
        assert (await waits.result()).status == "waiting"
        blocked = await started(other, "blocked")
        queued = await other.start("planner", "go", thread="blocked", parent=waits.run_id, if_active="queue")
        active = await started(other, "active", queued)
        assert await runtime.cancel(root.run_id, by="ann", reason="enough", wait=True)
        for run in (root, waits, queued, active):
            assert (await run.result()).termination.type == "cancelled"
            assert [entry.by for entry in read_commands(path, run.run_id) if entry.kind == "cancel"] == [
                "ann"
            ]
        assert [row.run_id for row in runtime.active_runs()] == [blocked.run_id]


async def test_a_run_that_is_over_does_not_shield_what_it_has_started(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        root = await started(runtime, "root")
        await model.next_request()
        child = await started(runtime, "child", root)
        asked = await model.next_request()
        grandchild = await started(runtime, "grandchild", child)
        asked.answer("done")
        await child.result()
        assert await runtime.cancel(root.run_id)
        assert (await grandchild.result()).termination.type == "cancelled"


@pytest.mark.parametrize("if_active", ["reject", "queue"])
async def test_nothing_begins_under_a_run_that_is_over_or_cancelled(path: Path, if_active: IfActive) -> None:
    async def begin(parent: str, thread: str) -> Run:
        return await runtime.start("planner", "go", thread=thread, parent=parent, if_active=if_active)

    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        await started(runtime, "busy")
        over = await started(runtime, "over")
        await runtime.cancel(over.run_id, wait=True)
        queued = await runtime.start("planner", "go", thread="busy", if_active="queue")
        await runtime.cancel(queued.run_id)
        before = runtime.log.position()
        for parent in (over, queued):
            for thread in ("new", "busy"):
                with pytest.raises((RunOver, ThreadAlreadyRunning)):
                    await begin(parent.run_id, thread)
        with pytest.raises(NotFound):
            await begin("missing", "new")

    assert [row.reason for row in changesets_behind(path, before)] == ["run_finished"]


@pytest.mark.parametrize("if_active", ["reject", "queue"])
async def test_a_run_begun_while_its_parent_is_cancelled_is_cancelled_or_never_begins(
    path: Path, if_active: IfActive
) -> None:
    """Whatever comes first, no run of the tree is active once cancel(wait=True) has returned."""
    model, begun = GatedModel(), list[Run]()

    async def begin(runtime: Runtime, number: int) -> None:
        with suppress(RunOver, ThreadAlreadyRunning):
            thread = "shared" if if_active == "queue" else f"child {number}"
            begun.append(
                await runtime.start("planner", "go", thread=thread, parent=root.run_id, if_active=if_active)
            )

    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        for round in range(5):
            root = await started(runtime, f"root {round}")
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(begin, (runtime, other)[number % 2], 6 * round + number)
                    if number == round:
                        tasks.start_soon(partial(other.cancel, wait=True), root.run_id)
            with anyio.fail_after(20):
                for run in begun:
                    assert (await run.result()).termination.type == "cancelled"
        assert runtime.active_runs() == []


async def test_a_run_whose_place_is_taken_takes_what_it_has_started_with_it(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        root = await started(runtime, "root")
        child = await started(other, "child", root)
        grandchild = await started(runtime, "grandchild", child)
        new = await other.start("planner", "stop", thread="root", if_active="supersede")
        for run in (child, grandchild):
            assert (await run.result()).termination.type == "cancelled"
            assert read_run(path, run.run_id)[-1].reason == "run_finished"
        assert [row.run_id for row in runtime.active_runs()] == [new.run_id]


async def test_to_cancel_and_wait_is_to_wait_for_the_end_of_that_very_run(path: Path) -> None:
    """Here and elsewhere. Runs queued after it on its thread are not waited for."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        for each in (runtime, other):
            run = await started(runtime, "t1")
            queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
            assert await each.cancel(run.run_id, wait=True)
            assert read_run(path, run.run_id)[-1].reason == "run_finished"
            assert not await each.cancel(run.run_id, wait=True)
            assert await each.cancel(queued.run_id, wait=True)
            with pytest.raises(NotFound):
                await each.cancel("missing", wait=True)
        with anyio.fail_after(30):
            await queued.result()


async def test_a_cancellation_wins_over_an_end_that_comes_later(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run = await started(runtime, "t1")
        asked = await model.next_request()
        assert await other.cancel(run.run_id, by="ann")
        asked.answer("still done")
        result = await run.result()

    assert (result.termination.type, result.output) == ("cancelled", None)


async def test_a_run_cancelled_by_many_at_the_same_moment_has_one_end(path: Path) -> None:
    model, cancelled = GatedModel(), []

    async def cancel(runtime: Runtime) -> None:
        cancelled.append(await runtime.cancel(run.run_id, wait=True))

    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run = await started(runtime, "t1")
        async with anyio.create_task_group() as tasks:
            for each in (runtime, other, runtime, other):
                tasks.start_soon(cancel, each)

    assert any(cancelled)
    assert [entry.kind for entry in read_commands(path, run.run_id)] == ["cancel"]
    assert [changeset.reason for changeset in read_run(path, run.run_id)] == ["run_started", "run_finished"]
