"""Clocks that are set back or forth, or are behind another's: nothing is ordered or measured by them."""

from itertools import cycle
from pathlib import Path

import pytest
from crashed import rows
from runs import agent, history, running

from threadlog.engine import Effects, Runtime

pytestmark = pytest.mark.anyio

HOUR = 3_600_000_000
BACK = [24 * HOUR, 0]


class Moved(Effects):
    """The system's clock, set to something else whenever it is looked at."""

    def __init__(self, offsets: list[int]) -> None:
        self._offsets = cycle(offsets)

    def now(self) -> int:
        return super().now() + next(self._offsets)


async def test_runs_are_listed_in_the_order_in_which_they_began(path: Path) -> None:
    begun = []
    for offset in (24 * HOUR, 0, -24 * HOUR):
        async with Runtime.open(path, agents=[agent("done")], effects=Moved([offset])) as runtime:
            run = await runtime.start("planner", "go")
            begun.append((await run.result()).run_id)

    assert [row.run_id for row in rows(path)] == begun


async def test_the_queue_is_in_the_order_in_which_its_runs_came(path: Path) -> None:
    begun = []
    async with running(path, agent(), effects=Moved(BACK)) as runtime:
        for prompt in ("a", "b", "c"):
            run = await runtime.start("planner", prompt, thread="t1", if_active="queue")
            begun.append(run.run_id)
        await run.result()

    assert [each.run_id for each in history(path) if each.reason == "run_started"] == begun
