import anyio
import anyio.lowlevel
import pytest

from threadlog.engine.events.waiters import GROUP_SIZE, Waiters

pytestmark = pytest.mark.anyio


class Crowd:
    """Many who wait once each; of those in a range the wait can be cancelled."""

    def __init__(self, size: int, cancelled: range = range(0)) -> None:
        self.waiters = Waiters()
        self.woken: list[int] = []
        self.cancellations = {number: anyio.CancelScope() for number in cancelled}
        self.size = size

    async def wait(self, number: int) -> None:
        with self.cancellations.get(number, anyio.CancelScope()):
            await self.waiters.wait()
            self.woken.append(number)


async def test_all_waiting_tasks_are_woken_while_others_run() -> None:
    crowd = Crowd(4 * GROUP_SIZE + 1)
    seen: set[int] = set()
    async with anyio.create_task_group() as tasks:
        for number in range(crowd.size):
            tasks.start_soon(crowd.wait, number)
        await anyio.wait_all_tasks_blocked()
        crowd.waiters.wake()
        while len(crowd.woken) < crowd.size:
            await anyio.lowlevel.checkpoint()
            seen.add(len(crowd.woken))

    assert sorted(crowd.woken) == list(range(crowd.size))
    assert len(seen) > 3


@pytest.mark.parametrize("cancelled", [range(1), range(GROUP_SIZE), range(GROUP_SIZE, 3 * GROUP_SIZE)])
@pytest.mark.parametrize("is_woken_first", [True, False])
async def test_a_cancelled_waiter_does_not_keep_others_asleep(cancelled: range, is_woken_first: bool) -> None:
    crowd = Crowd(4 * GROUP_SIZE, cancelled)
    async with anyio.create_task_group() as tasks:
        for number in range(crowd.size):
            tasks.start_soon(crowd.wait, number)
        await anyio.wait_all_tasks_blocked()
        if is_woken_first:
            crowd.waiters.wake()
        for scope in crowd.cancellations.values():
            scope.cancel()
        if not is_woken_first:
            crowd.waiters.wake()

    assert set(range(crowd.size)) - set(crowd.woken) <= set(cancelled)
