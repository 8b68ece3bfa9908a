"""Publishes the events of a run executed here, in order, each durable event once its commit is durable.

The loop waits for its commits only before it calls a tool or a remote agent, and at the end. The publisher
waits for all of them. If a commit fails, another run owns the thread or the log cannot be written: the run is
stopped.
"""

import math
from collections.abc import Iterable
from typing import Protocol, Self

from anyio import CancelScope, create_memory_object_stream

from ...store.append import Append, Written
from ...store.appender import Receipt
from ...store.changeset import control_stream
from ...store.errors import VersionConflict
from ...store.history import Entry
from ...store.log import Log
from ..events import Broadcast, Event, durable_events
from .journal import Journal
from .opening import Opening


class Channel(Protocol):
    """The part of a publisher that a loop uses."""

    @property
    def failure(self) -> Exception | None:
        """Why a commit failed, if one did. The run cannot write any more then."""
        ...

    def emit(self, event: Event) -> None:
        """Publish a transient event."""
        ...

    def check_head(self, thread_id: str, version: int) -> None:
        """Check that no other process has appended to a thread. `version` is durable.

        Raises:
            VersionConflict: the thread has another version.
        """
        ...


class Stoppable(Protocol):
    """A run that is executed here."""

    def stop(self) -> None:
        """Interrupt the run at once: it cannot write any more."""
        ...


class Publisher:
    """The journal of a run: appends changesets, and publishes their events once they are durable."""

    def __init__(self, log: Log, journal: Journal, run_id: str, opening: Opening, events: Broadcast) -> None:
        self._log = log
        self._journal = journal
        self._run_id = run_id
        self._stream = control_stream(run_id)
        self._opening = opening
        self._events = events
        self.failure: Exception | None = None
        self._send, self._receive = create_memory_object_stream[Receipt | Event](math.inf)

    def submit(self, append: Append) -> Receipt:
        """Queue an append. Its events are published after all earlier ones."""
        receipt = self._journal.submit(append)
        self._opening.record(receipt)
        self._queue(receipt)
        return receipt

    def check_head(self, thread_id: str, version: int) -> None:
        """Check that no other process has appended to a thread. `version` is durable.

        Raises:
            VersionConflict: the thread has another version.
        """
        if (actual := self._log.head(thread_id)) != version:
            raise VersionConflict(thread_id, version, actual)

    def emit(self, event: Event) -> None:
        """Publish a transient event after the commits so far. It is dropped if one of them fails."""
        self._queue(event)

    def _queue(self, item: Receipt | Event) -> None:
        if not self.failure:
            self._send.send_nowait(item)

    async def publish(self, run: Stoppable) -> None:
        """Publish until the publisher is closed and empty. If a commit fails, stop the run and return."""
        # Shielded: commits of a cancelled run are published, too.
        has_started = False
        with self._receive, CancelScope(shield=True):
            async for item in self._receive:
                if not isinstance(item, Receipt):
                    self._events.publish([item])
                    continue
                try:
                    written = await item.result()
                    has_started = True
                except Exception as err:
                    if has_started and self._is_control_conflict(err):
                        # The run cannot end with unread commands: the loop applies them, then ends it again.
                        continue
                    self.failure = err
                    run.stop()
                    return
                self._events.publish(self._durable(item.append, written))

    def _durable(self, append: Append, written: Written) -> Iterable[Event]:
        """Yield the run's events in an append. Its changesets have consecutive positions."""
        first = written.position - len(append.changesets) + 1
        for position, each in enumerate(append.changesets, first):
            if each.changeset.run_id == self._run_id:
                yield from durable_events(Entry(position, each.changeset))

    def _is_control_conflict(self, err: Exception) -> bool:
        return isinstance(err, VersionConflict) and err.thread_id == self._stream

    def close(self) -> None:
        """Close both ends, even if publishing never started."""
        self._send.close()
        self._receive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send.close()
