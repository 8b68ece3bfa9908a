"""A process in which calls on the log's files go wrong, with faults.c loaded before: file_faults.py WHAT LOG.

It fails as a test does; what it does is said where it is done.
"""

import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel

from campaign.faults.injection import FOREVER, How, Kind, arm, fired
from support.agents import gated_agent
from support.logs import changeset
from support.models import GatedModel
from support.processes.lock_kind import KINDS
from support.waiting import TIMEOUT, wait_until
from threadlog.engine import Decision, Runtime, ToolCall
from threadlog.engine.runs import liveness
from threadlog.engine.runs.liveness import Liveness
from threadlog.store import Log
from threadlog.store.errors import LogUnavailable


@contextmanager
def broken(path: Path, kind: Kind, how: How, first: int = 1, last: int = FOREVER) -> Iterator[None]:
    arm(path.parent, kind, how, first, last)
    try:
        yield
    finally:
        arm(path.parent, kind, How.NOT, 0)


def opening(path: Path) -> None:
    """A log that was opened while a call failed can be written, and is read as it is written."""
    for how in (How.FAIL, How.FILL):
        refused = [number for number in range(1, 9) if not opened(path, how, number)]
        assert 1 in refused
        assert 8 not in refused


def opened(path: Path, how: How, number: int) -> bool:
    """Whether a log was opened; then it is as it should be."""
    try:
        with broken(path, Kind.OPEN, how, number, number):
            log = Log.open(path)
    except LogUnavailable:
        return False
    with log:
        version = log.head("t1")
        assert log.append(changeset(f"c{version}"), version) == log.head("t1")
    return True


def beside(path: Path) -> None:
    """Where a log cannot be opened once more, the one that is open keeps its locks: nothing is copied."""
    arm(path.parent, Kind.OPEN, How.NOT, 0)
    with Log.open(path) as log:
        log.append(changeset(), 0)
        with broken(path, Kind.OPEN, How.FAIL):
            try:
                Log.open(path, readonly=True).close()
            except LogUnavailable:
                return
    raise AssertionError("it was opened, and is a copy")


def alive(path: Path) -> None:
    """Who cannot be looked at counts as alive."""
    locks = Liveness(path)
    for liveness.LOCK_KIND in KINDS.values():
        with locks.hold("a"):
            for kind in (Kind.OPEN, Kind.LOCK):
                with broken(path, kind, How.FAIL):
                    assert locks.is_alive("a")


def let_go(path: Path) -> None:
    """A lock file that cannot be removed is released nevertheless."""
    locks = Liveness(path)
    for liveness.LOCK_KIND in KINDS.values():
        with broken(path, Kind.CUT, How.FAIL):
            with locks.hold("a"):
                pass
            assert not locks.is_alive("a")


async def failed(times: int) -> None:
    with anyio.fail_after(TIMEOUT):
        while fired() < times:
            await anyio.lowlevel.checkpoint()


def is_over(log: Log, run_id: str) -> bool:
    row = log.run(run_id)
    return row is not None and row.status == "done"


async def decided(path: Path) -> None:
    """A decided run that could not continue resumes when it can."""
    arm(path.parent, Kind.WRITE, How.NOT, 0)
    model = GatedModel()
    async with Runtime.open(path, agents=[gated_agent(model)]) as runtime:
        run = await runtime.start("planner", "go", thread="t1", id="r1")
        (await model.next_request()).answer(ToolCall("erase", {}, "c1"))
        await run.result()
        unlisten = runtime.log.listen(lambda: arm(path.parent, Kind.WRITE, How.FAIL, 1, FOREVER))
        await runtime.decide("r1", [Decision.approve("c1")])
        unlisten()
        await failed(4)
        assert [row.status for row in runtime.log.runs()] == ["waiting"]
        arm(path.parent, Kind.WRITE, How.NOT, 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.answer_all, "done")
            await wait_until(runtime.log, lambda: is_over(runtime.log, "r1"))
            tasks.cancel_scope.cancel()
        assert (await run.result()).output == "done"


async def queued(path: Path) -> None:
    """A queued run that could not start when it was due starts when it can."""
    arm(path.parent, Kind.WRITE, How.NOT, 0)
    model = GatedModel()
    async with Runtime.open(path, agents=[gated_agent(model)]) as runtime:
        first = await runtime.start("planner", "go", thread="t1", id="r1")
        second = await runtime.start("planner", "go", thread="t1", id="r2", if_active="queue")
        asked = await model.next_request()

        def fail() -> None:
            # To begin again to count is to forget what has failed.
            if not fired() and [row.status for row in runtime.log.runs()] == ["done"]:
                arm(path.parent, Kind.WRITE, How.FAIL, 1, FOREVER)

        unlisten = runtime.log.listen(fail)
        asked.answer("done")
        await first.result()
        await failed(2)
        unlisten()
        assert [row.run_id for row in runtime.log.runs()] == ["r1"]
        arm(path.parent, Kind.WRITE, How.NOT, 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.answer_all, "done")
            await wait_until(runtime.log, lambda: is_over(runtime.log, "r2"))
            tasks.cancel_scope.cancel()
        assert (await second.result()).output == "done"


async def asked_for(path: Path) -> None:
    """A caller learns that the commits of a run have failed, and after recovery how it ended."""
    arm(path.parent, Kind.WRITE, How.NOT, 0)
    model = GatedModel()
    async with Runtime.open(path, agents=[gated_agent(model)]) as runtime:
        await runtime.start("planner", "go", thread="t1", id="r1")
        asked = await model.next_request()
        with broken(path, Kind.WRITE, How.FAIL):
            asked.answer("done")
            await failed(1)
        gc.collect()
        with anyio.fail_after(TIMEOUT):
            try:
                await runtime.get_run("r1").result()
                raise AssertionError("the log does not say how it ended")
            except LogUnavailable:
                await runtime.recover()
            assert (await runtime.get_run("r1").result()).termination.code == "orphaned"


PLAIN: list[Callable[[Path], None]] = [opening, beside, alive, let_go]
WAITING: list[Callable[[Path], Awaitable[None]]] = [decided, queued, asked_for]

if __name__ == "__main__":
    for each in PLAIN:
        if each.__name__ == sys.argv[1]:
            each(Path(sys.argv[2]))
    for one in WAITING:
        if one.__name__ == sys.argv[1]:
            anyio.run(one, Path(sys.argv[2]))
