"""From commits to events: a fact is told when its commit is durable, and everything in order.

The loop does not wait for its commits, except before a tool starts; this task does. When one fails, the
run's thread is somebody else's or the log cannot be written: the loop is cancelled.
"""

import math
from collections.abc import Callable
from typing import Self

from anyio import CancelScope, create_memory_object_stream

from ..store.async_log import Pending
from .events import Event
from .run import Run


class Publisher:
    """Tells a run's events, each behind the commit that makes it true."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.failure: Exception | None = None
        self._send, self._receive = create_memory_object_stream[tuple[Pending | None, Event]](math.inf)

    def tell(self, event: Event, after: Pending | None = None) -> None:
        """Tell an event once `after` is durable, behind all events before it; never, if a commit failed."""
        if not self.failure:
            self._send.send_nowait((after, event))

    async def publish(self, stop: Callable[[], None]) -> None:
        """Until the publisher is closed and all is told, or a commit has failed: then `stop` is called."""
        # Shielded: what the loop has committed is told even if the run is cancelled.
        with self._receive, CancelScope(shield=True):
            async for pending, event in self._receive:
                try:
                    if pending:
                        await pending.result()
                except Exception as err:
                    self.failure = err
                    stop()
                    return
                self._run.tell(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send.close()
