"""Clocks that are set back or forth, or are behind another's: nothing is ordered or measured by them."""

from itertools import cycle, pairwise
from pathlib import Path

import pytest

from support.agents import scripted_agent
from support.checks import assert_replays
from support.command import call
from support.killed_runs import crashed
from support.log_reads import read_history, read_recoveries, read_runs
from support.processes.killed_run import mortal
from support.runtimes import open_runtime
from threadlog.engine import Runtime, SystemEffects, Timeout, ToolCall
from threadlog.reducers.statistics import statistics

pytestmark = pytest.mark.anyio

ADD = ToolCall("add", {"a": 1, "b": 1})
HOUR = 3_600_000_000
BACK = [24 * HOUR, 0]
FORTH_AND_BACK = [0, 24 * HOUR, -24 * HOUR]


class Moved(SystemEffects):
    """The system's clock, set to something else whenever it is looked at."""

    def __init__(self, offsets: list[int]) -> None:
        self._offsets = cycle(offsets)

    def now(self) -> int:
        return super().now() + next(self._offsets)


async def test_runs_are_listed_in_the_order_in_which_they_started(path: Path) -> None:
    begun = []
    for offset in (24 * HOUR, 0, -24 * HOUR):
        async with Runtime.open(path, agents=[scripted_agent("done")], effects=Moved([offset])) as runtime:
            run = await runtime.start("planner", "go")
            begun.append((await run.result()).run_id)

    assert [row.run_id for row in read_runs(path)] == begun


async def test_the_queue_keeps_the_order_of_arrival(path: Path) -> None:
    begun = []
    async with open_runtime(path, scripted_agent(), effects=Moved(BACK)) as runtime:
        for prompt in ("a", "b", "c"):
            run = await runtime.start("planner", prompt, thread="t1", if_active="queue")
            begun.append(run.run_id)
        await run.result()

    assert [each.run_id for each in read_history(path) if each.reason == "run_started"] == begun


@pytest.mark.parametrize("offsets", [BACK, FORTH_AND_BACK], ids=["back", "forth and back"])
async def test_timeouts_ignore_changes_of_the_wall_clock(path: Path, offsets: list[int]) -> None:
    """An epoch measures elapsed time, whatever the clock is set to meanwhile."""
    planner = scripted_agent(*[ADD] * 3, "done", stop_when=[Timeout(3600)])
    async with open_runtime(path, planner, effects=Moved(offsets)) as runtime:
        result = await (await runtime.start("planner", "go", thread="t1")).result()

    at = [each.at for each in read_history(path)]
    assert result.termination.type == "natural_end"
    assert all(0 <= later - earlier < HOUR for earlier, later in pairwise(at))
    assert 0 <= statistics(read_history(path)).duration < HOUR
    await assert_replays(path, planner)


async def test_a_run_times_out_even_if_the_clock_was_set_back(path: Path) -> None:
    planner, set_back_once = scripted_agent(*[ADD] * 9, stop_when=[Timeout(0.000001)]), [24 * HOUR, *[0] * 99]
    async with open_runtime(path, planner, effects=Moved(set_back_once)) as runtime:
        result = await (await runtime.start("planner", "go", thread="t1")).result()

    assert result.termination.code == "timeout_reached"


async def test_a_process_with_a_slow_clock_can_recover_a_run(path: Path) -> None:
    crashed(path, "parallel", "add", "pay")
    async with Runtime.open(path, agents=[], effects=Moved([-24 * HOUR])) as runtime:
        result = await runtime.get_run("r1").result()

    (end,) = read_recoveries(path)
    assert end.orphan
    assert (result.termination.code, end.orphan.version) == ("orphaned", end.version - 1)
    assert end.at < end.orphan.at
    assert statistics(read_history(path)).duration == 0
    assert "-" not in call(f"runs --db {path}").out.split()[-1]
    await assert_replays(path, mortal("parallel", "add", "pay"))
