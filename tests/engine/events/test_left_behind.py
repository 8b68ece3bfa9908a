"""Subscribers of a run that is stopped slowly after another process has taken its thread."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.models import GatedModel
from support.runtimes import open_runtimes
from threadlog.engine import ModelRequest
from threadlog.engine.events.event import RunFinished
from threadlog.engine.models.model import Part

pytestmark = pytest.mark.anyio


class Slow(GatedModel):
    """A model that takes its time to be cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.let = anyio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        try:
            async for part in super().stream(request):
                yield part
        finally:
            with anyio.CancelScope(shield=True):
                await self.let.wait()


async def test_subscribers_see_an_end_written_by_another_process_before_the_local_failure(
    path: Path,
) -> None:
    """Nothing is committed after it."""
    slow, asking = Slow(), GatedModel()
    async with open_runtimes(path, [gated_agent(slow)], [gated_agent(asking)]) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        await slow.next_request()
        ears = [runtime.subscribe(run.run_id)]
        # Subscribers of two runs executed elsewhere: one of them finishes, the other stays silent.
        for thread in ("t2", "t3"):
            elsewhere = await other.start("planner", "go", thread=thread)
            ears.append(runtime.subscribe(elsewhere.run_id))
            await asking.next_request()
        await other.start("planner", "go on", thread="t1", if_active="supersede")
        await asking.next_request()
        await other.cancel(elsewhere.run_id, wait=True)
        # The last commit has been published: so the earlier ones were read.
        assert [event async for event in ears.pop()]
        slow.let.set()
        with anyio.fail_after(5):
            told = [event async for event in ears[0]]

    assert isinstance(told[-1], RunFinished)
