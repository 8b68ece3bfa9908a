"""Runs whose start is not in the log yet, because a behavior takes its time: what reaches them meanwhile."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior
from threadlog.engine import Context, Runtime
from threadlog.store import Log
from threadlog.store.appender import changes
from threadlog.store.errors import RunOver

pytestmark = pytest.mark.anyio


class Slow(PhaseBehavior):
    """Keeps the run from beginning until it is let go."""

    def __init__(self) -> None:
        super().__init__(lambda context: None, name="slow")
        self.began, self.go = anyio.Event(), anyio.Event()
        self.run_id = ""

    async def run_start(self, context: Context) -> None:
        self.run_id = context.run_id
        self.began.set()
        with anyio.CancelScope(shield=True):
            await self.go.wait()


async def cancelled(log: Log, run_id: str) -> None:
    """Return when the cancel command is in the log."""
    async with aclosing(changes(log)) as news:
        async for _ in news:
            if (found := log.run_status(run_id)) and found.is_cancelled:
                assert (found.status, found.run) == ("starting", None)
                return


async def test_a_run_that_is_cancelled_before_its_start_is_written_starts_no_other(path: Path) -> None:
    slow = Slow()
    agents = [scripted_agent("done", name="slow", behaviors=[slow]), scripted_agent("done", name="child")]
    with anyio.fail_after(30):
        async with Runtime.open(path, agents=agents, durability="normal") as runtime:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: runtime.start("slow", "go", thread="parent"))
                await slow.began.wait()
                tasks.start_soon(runtime.cancel, slow.run_id)
                await cancelled(runtime.log, slow.run_id)

                with pytest.raises(RunOver):
                    await runtime.start("child", "go", thread="child", parent=slow.run_id)
                slow.go.set()

            assert (await runtime.get_run(slow.run_id).result()).termination.type == "cancelled"
            assert [row.run_id for row in runtime.log.runs()] == [slow.run_id]
