"""From commits to events: a durable event is published once its commit is durable, everything in order.

The loop does not wait for its commits, except before a tool starts; this task does. When one fails, another
run owns the thread or the log cannot be written: the loop is cancelled.
"""

import math
from collections.abc import Sequence
from typing import Protocol, Self

from anyio import CancelScope, create_memory_object_stream

from ...store.append import Append
from ...store.appender import Receipt
from ...store.changeset import control_stream
from ...store.errors import VersionConflict
from ...store.log import Log
from ..events import Broadcast, Event, facts
from .journal import Journal
from .opening import Opening


class Channel(Protocol):
    """What a loop needs of its publisher."""

    @property
    def failure(self) -> Exception | None:
        """Why a commit failed, if one did: then nothing more can be written."""
        ...

    def tell(self, event: Event) -> None:
        """Publish a transient event."""
        ...

    def refuse_if_taken(self, thread_id: str, version: int) -> None:
        """Pass if the thread is still at a version that is durable.

        Raises:
            VersionConflict: another process has appended to it.
        """
        ...


class Stoppable(Protocol):
    """A run that is executed here."""

    def stop(self) -> None:
        """Interrupt it at once: it cannot write any more."""
        ...


class Publisher:
    """A run's journal: appends to the log, and publishes each changeset's events once it is durable."""

    def __init__(self, log: Log, journal: Journal, run_id: str, opening: Opening, events: Broadcast) -> None:
        self._log = log
        self._journal = journal
        self._stream = control_stream(run_id)
        self._opening = opening
        self._events = events
        self.failure: Exception | None = None
        self._send, self._receive = create_memory_object_stream[tuple[Receipt | None, Sequence[Event]]](
            math.inf
        )

    def submit(self, append: Append) -> Receipt:
        """Queue an append; its events follow all that were published before."""
        receipt = self._journal.submit(append)
        self._opening.submitted(receipt)
        self._queue(receipt, facts(append.changesets[-1].changeset))
        return receipt

    def refuse_if_taken(self, thread_id: str, version: int) -> None:
        """Pass if the thread is still at a version that is durable.

        Raises:
            VersionConflict: another process has appended to it.
        """
        if (actual := self._log.head(thread_id)) != version:
            raise VersionConflict(thread_id, version, actual)

    def tell(self, event: Event) -> None:
        """Publish a transient event after the commits so far; never, if one of them fails."""
        self._queue(None, (event,))

    def _queue(self, receipt: Receipt | None, events: Sequence[Event]) -> None:
        if not self.failure:
            self._send.send_nowait((receipt, events))

    async def publish(self, run: Stoppable) -> None:
        """Publish until the publisher is closed and empty, or a commit fails: then the run is stopped."""
        # Shielded: what the loop has committed is published even if the run is cancelled.
        is_begun = False
        with self._receive, CancelScope(shield=True):
            async for receipt, events in self._receive:
                try:
                    if receipt:
                        await receipt.result()
                        is_begun = True
                except Exception as err:
                    if is_begun and self._is_of_control(err):
                        # The end of the run is not in the log yet: first the loop applies the new commands.
                        continue
                    self.failure = err
                    run.stop()
                    return
                for event in events:
                    self._events.tell(event)

    def _is_of_control(self, err: Exception) -> bool:
        return isinstance(err, VersionConflict) and err.thread_id == self._stream

    def close(self) -> None:
        """Publish nothing more, even if publishing never started."""
        self._send.close()
        self._receive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send.close()
