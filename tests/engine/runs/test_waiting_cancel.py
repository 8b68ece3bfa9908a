"""Cancelling a run that waits: by anyone who has the file."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from support.agents import approval_agent
from support.behaviors import PhaseBehavior, act_in
from support.checks import assert_replays
from support.log_reads import read_call_statuses, read_history, read_reasons, read_state
from support.runtimes import open_runtime, run_agent
from support.tools import ERASE
from threadlog.engine import Context, Decision, Runtime, Turn
from threadlog.reducers import Append, Set, replay
from threadlog.reducers.tool_call import calls
from threadlog.store import VersionConflict
from threadlog.store.changeset import RunStatus, Termination, Usage
from threadlog.store.errors import RunError

pytestmark = pytest.mark.anyio

CANCELLED = Termination(type="cancelled")


async def test_a_cancelled_run_that_waited_cancels_its_calls(path: Path) -> None:
    planner = approval_agent(ERASE, "never")
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        assert await runtime.cancel(first.run_id)
        assert not await runtime.cancel(first.run_id)
        again = await (await runtime.start("planner", "again", thread="t1")).result()

    assert read_reasons(path)[3:6] == ["run_suspended", "run_finished", "run_started"]
    ended = read_history(path)[4]
    assert (ended.run, ended.epoch) == (RunStatus(status="done", termination=CANCELLED), 2)
    assert ended.executor is not None
    assert again.output == "never"
    assert {call.call_id: call.status for call in calls(replay(read_history(path)[:5]).state)} == {
        "c1": "cancelled"
    }


async def test_a_run_that_waits_is_cancelled_where_nobody_has_its_agent(path: Path) -> None:
    """nothing of the agent takes part: its behaviors were asked at `run_end`, when the run began to wait"""
    ends = Turn(tool_calls=[ERASE], usage=Usage(input_tokens=5, output_tokens=2))
    planner = approval_agent(ends, behaviors=[act_in("run_end", Append("/ends", "an end"))])
    start = act_in("run_start", Set("/ends", []), name="start")
    planner = replace(planner, behaviors=[start, *planner.behaviors])
    first = await run_agent(path, planner)

    async with open_runtime(path) as runtime:
        assert await runtime.cancel(first.run_id)
        (row,) = runtime.log.runs("t1")

    assert (row.status, row.agent, row.epoch, row.input_tokens) == ("done", "planner", 2, 5)
    assert (read_state(path), read_call_statuses(path)) == ({"ends": ["an end"]}, {"c1": "cancelled"})
    await assert_replays(path, planner)


async def test_a_cancellation_that_comes_when_a_run_is_about_to_wait_is_not_lost(path: Path) -> None:
    at_the_end, cancelled = anyio.Event(), anyio.Event()

    class Slow(PhaseBehavior):
        async def run_end(self, context: Context) -> None:
            at_the_end.set()
            await cancelled.wait()

    async def cancel(runtime: Runtime, run_id: str) -> None:
        cancelled.set()
        assert await runtime.cancel(run_id)

    planner = approval_agent(ERASE, behaviors=[Slow(lambda context: None)])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await at_the_end.wait()
        await cancel(runtime, started.run_id)

    assert read_reasons(path)[-2:] == ["tool_results", "run_finished"]
    assert read_call_statuses(path) == {"c1": "cancelled"}


async def test_of_two_that_cancel_at_the_same_moment_one_does(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE))
    cancelled: list[bool] = []

    async def cancel(runtime: Runtime) -> None:
        cancelled.append(await runtime.cancel(first.run_id))

    async with open_runtime(path) as one, open_runtime(path) as other, anyio.create_task_group() as tasks:
        for runtime in (one, other, one):
            tasks.start_soon(cancel, runtime)

    assert any(cancelled)
    assert read_reasons(path).count("run_finished") == 1


async def test_a_cancellation_and_a_decision_at_the_same_moment(path: Path) -> None:
    """The first one counts: the other is refused, or cancels the run that has just resumed."""
    first = await run_agent(path, approval_agent(ERASE))

    async def decide(runtime: Runtime) -> None:
        with suppress(RunError, VersionConflict):
            await runtime.decide(first.run_id, [Decision.approve("c1")])

    async def cancel(runtime: Runtime) -> None:
        with suppress(RunError):
            await runtime.cancel(first.run_id)

    async with (
        open_runtime(path, approval_agent("gone")) as one,
        open_runtime(path) as other,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(decide, one)
        tasks.start_soon(cancel, other)
        tasks.start_soon(cancel, one)

    assert read_reasons(path)[-1] == "run_finished"
    assert read_reasons(path).count("run_finished") == 1


async def test_a_run_that_is_over_asks_nothing_though_another_one_of_its_thread_does(path: Path) -> None:
    planner = approval_agent(ERASE)
    first = await run_agent(path, planner)

    async with open_runtime(path, approval_agent(ERASE)) as runtime:
        await runtime.cancel(first.run_id)
        second = await (await runtime.start("planner", "again", thread="t1")).result()

        assert runtime.pending(first.run_id) == []
        assert [call.call_id for call in runtime.pending(second.run_id)] == ["c1"]
