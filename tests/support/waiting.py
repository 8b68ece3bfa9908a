"""Waits that end when a condition holds, and fail after a time limit."""

from collections.abc import Callable
from contextlib import aclosing
from threading import Event

import anyio

from threadlog.store import Log
from threadlog.store.appender import changes

TIMEOUT = 30.0
"""Seconds before a test stops waiting."""


async def wait_until(log: Log, holds: Callable[[], bool]) -> None:
    """Return once a condition holds. It is checked after every commit."""
    with anyio.fail_after(TIMEOUT):
        async with aclosing(changes(log)) as commits:
            async for _ in commits:
                if holds():
                    return


async def becomes_true(changed: Event, holds: Callable[[], bool], timeout: float = 10.0) -> bool:
    """Wait for a condition. It is checked whenever `changed` is set, from any thread. False on time-out."""
    with anyio.move_on_after(timeout):
        while True:
            # Clear the event first: a change during the check sets it again.
            changed.clear()
            if holds():
                return True
            await anyio.to_thread.run_sync(changed.wait, timeout, abandon_on_cancel=True)
    return False
