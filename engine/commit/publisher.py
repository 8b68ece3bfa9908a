"""From commits to events: a fact is told when its commit is durable, and everything in order.

The loop does not wait for its commits, except before a tool starts; this task does. When one fails, the
run's thread is somebody else's or the log cannot be written: the loop is cancelled.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from anyio import CancelScope, create_memory_object_stream

from ...store.async_log import Pending
from ...store.changeset import Changeset, control_stream
from ...store.errors import VersionConflict
from ..events import Event, facts
from .journal import Behind, LogJournal


class Listener(Protocol):
    """Receives the events of a run."""

    run_id: str

    def tell(self, event: Event) -> None: ...


class Publisher:
    """A run's journal: appends to the log, and tells each changeset's facts once it is durable."""

    def __init__(self, journal: LogJournal, run: Listener) -> None:
        self._journal = journal
        self._run = run
        self.failure: Exception | None = None
        self._send, self._receive = create_memory_object_stream[tuple[Pending | None, Sequence[Event]]](
            math.inf
        )

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        """Queue an append; its facts are told behind all that was told before.

        Raises:
            ContentError: as `AsyncLog.submit`.
        """
        pending = self._journal.submit(changeset, behind)
        written = changeset.model_copy(update={"version": behind.version + 1})
        self._queue(pending, facts(written))
        return pending

    def refuse_if_taken(self, thread_id: str, version: int) -> None:
        """Pass if nobody else has written to the thread behind a version that is durable.

        Raises:
            VersionConflict: somebody has.
        """
        if (actual := self._journal.head(thread_id)) != version:
            raise VersionConflict(thread_id, version, actual)

    def tell(self, event: Event) -> None:
        """Tell what passes, behind the commits so far; never, if one of them fails."""
        self._queue(None, (event,))

    def _queue(self, pending: Pending | None, events: Sequence[Event]) -> None:
        if not self.failure:
            self._send.send_nowait((pending, events))

    async def publish(self, stop: Callable[[], None]) -> None:
        """Until the publisher is closed and all is told, or a commit has failed: then `stop` is called."""
        # Shielded: what the loop has committed is told even if the run is cancelled.
        is_begun = False
        with self._receive, CancelScope(shield=True):
            async for pending, events in self._receive:
                try:
                    if pending:
                        await pending.result()
                        is_begun = True
                except Exception as err:
                    if is_begun and self._is_of_control(err):
                        # An end that does not stand yet: the loop takes in what it has not seen.
                        continue
                    self.failure = err
                    stop()
                    return
                for event in events:
                    self._run.tell(event)

    def _is_of_control(self, err: Exception) -> bool:
        return isinstance(err, VersionConflict) and err.thread_id == control_stream(self._run.run_id)

    def close(self) -> None:
        """Nothing more is told; also where a run was cancelled before it began to be."""
        self._send.close()
        self._receive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send.close()
