"""Things that happen to a run from outside."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from threadlog.engine import Decision, Run, Runtime
from threadlog.engine.events.event import Event, RunFinished, RunResult, TextDelta, ToolCallStarted
from threadlog.store.errors import RunError


async def meddled(runtime: Runtime, run: Run, happenings: Iterator[Any]) -> RunResult:
    """The end of a run to which things happen, and of the epochs that they begin. It does end."""
    while True:
        last: Event | None = None
        async for last in run:
            hangs = isinstance(last, ToolCallStarted) and last.name == "hang"
            hangs |= isinstance(last, TextDelta) and last.text.endswith("hang")
            happens = "cancel" if hangs else next(happenings, None)
            if happens == "cancel":
                await runtime.cancel(run.run_id)
            elif isinstance(happens, str):
                with suppress(RunError):
                    await runtime.steer(run.run_id, happens)
            elif isinstance(happens, Decision):
                with suppress(RunError):
                    await runtime.decide(run.run_id, [happens])
        result = await run.result()
        if isinstance(last, RunFinished) and last.result.version == result.version:
            return result
