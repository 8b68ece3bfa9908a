"""Event streams of runs, for subscribers in this process.

A run executed here publishes its own events. For a run executed elsewhere, one task reads its new changesets
from the log after every commit and publishes them to all its subscribers. A stream is garbage-collected with
its last subscriber.
"""

from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from weakref import WeakValueDictionary

from ...reducers.run import NEVER_BEGAN
from ...store.appender import changes
from ...store.changeset import Usage
from ...store.errors import LogError, NotFound
from ...store.history import Entry
from ...store.listing import RunRow
from ...store.log import Log
from .broadcast import Broadcast
from .cursor import Cursor
from .durable import Past, durable_events
from .event import RunFinished, RunResult
from .subscription import Subscription
from .wakeup import Wakeup


class Streams:
    """The broadcasts of all runs that are executed here or have subscribers here."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._broadcasts: WeakValueDictionary[str, Broadcast] = WeakValueDictionary()
        self._local: dict[str, Broadcast] = {}
        """The runs that are executed here. The events of others are read from the log."""
        self._has_remote = Wakeup()
        """Set when a run that is executed elsewhere may have a subscriber."""
        self._is_closed = False

    def subscribe(
        self, run_id: str, after: Cursor | None = None, *, is_broken: Callable[[], bool] = lambda: False
    ) -> Subscription:
        """Return the events of a run after a cursor, until it is done or `is_broken`.

        Raises:
            NotFound: there is no such run.
            LogUnavailable: the log is closed.
        """
        broadcast = self._local.get(run_id) or self._open_remote(run_id)
        return Subscription(broadcast, after or broadcast.past.start, is_broken)

    def _open_remote(self, run_id: str) -> Broadcast:
        """Return the broadcast of a run executed elsewhere, with all that the log has now."""
        head = self._log.position(self._row(run_id).thread_id)
        # Read the row again after the head: a run that finishes later will do so after that position.
        row = self._row(run_id)
        reached = self._log.position_of(row.thread_id, row.last_version) if row.status == "done" else head
        broadcast = self._broadcast(run_id, row.thread_id, reached)
        _catch_up(broadcast, reached)
        if row.status == "done" or self._is_closed:
            broadcast.finish()
        self._has_remote.set()
        return broadcast

    def end_of(self, thread_id: str) -> Cursor:
        """Return the cursor after all events of a thread that are in the log now."""
        return Cursor.after(self._log.position(thread_id))

    def known_end(self, run_id: str) -> RunResult | None:
        """Return how the latest epoch of a run has ended, if the log has its end."""
        row = self._log.run(run_id)
        if row is None or row.status == "running":
            return None
        (last,) = self._log.read(row.thread_id, after=row.last_version - 1, until=row.last_version)
        return next(each.result for each in durable_events(Entry(0, last)) if isinstance(each, RunFinished))

    async def has_begun(self, run_id: str) -> bool:
        """Wait until a run begins, and return True; or until it is cancelled before, and return False."""
        # A change is noted before it is looked at: a commit in between is another change.
        async with aclosing(changes(self._log)) as news:
            async for _ in news:
                if self._log.run(run_id):
                    return True
                if not self._may_begin(run_id):
                    return run_id in self._local
        raise AssertionError("changes have no end")

    def has_continued(self, known: RunResult) -> bool:
        """Whether a run has continued since a known end. False if the log is closed."""
        if self._is_closed or known.status == "done":
            return False
        return self._row(known.run_id).last_version > known.version

    async def end(self, run_id: str, thread_id: str) -> RunResult:
        """Wait for the end of a run's latest epoch, in any process, and return it.

        Raises:
            LogUnavailable: the log is closed.
        """
        async with aclosing(changes(self._log)) as news:
            async for _ in news:
                if ended := self.known_end(run_id):
                    return ended
                if not self._may_begin(run_id):
                    return _never_began(run_id, thread_id)
        raise AssertionError("changes have no end")

    def _may_begin(self, run_id: str) -> bool:
        """Whether a run has begun or is queued."""
        found = self._log.run_status(run_id)
        return found is not None and (found.run is not None or found.status == "queued")

    @contextmanager
    def publishing(self, run_id: str, thread_id: str) -> Iterator[Broadcast]:
        """Open the broadcast of a run that is executed here; nothing else publishes to it meanwhile."""
        reached = self._log.position(thread_id)
        broadcast = self._broadcast(run_id, thread_id, reached)
        _catch_up(broadcast, reached)
        self._local[run_id] = broadcast
        try:
            yield broadcast
        finally:
            del self._local[run_id]
            if self._is_closed:
                broadcast.finish()
            else:
                # A process that took over the thread may have written the end of the run already.
                with suppress(LogError):
                    _catch_up(broadcast, self._log.position(thread_id))
            self._has_remote.set()

    async def follow(self) -> None:
        """Publish the events of runs executed elsewhere. Endless; polls while such a run has a subscriber."""
        while True:
            await self._has_remote.wait()
            try:
                await self._publish_changes()
            except LogError as err:
                self._finish_remote(err)

    def close(self) -> None:
        """End all subscriptions. Those of a run executed here end with its execution."""
        self._is_closed = True
        self._finish_remote(None)

    async def _publish_changes(self) -> None:
        async with aclosing(changes(self._log)) as news:
            async for _ in news:
                if not self._publish_news():
                    return

    def _publish_news(self) -> bool:
        """Publish what the log has of runs executed elsewhere. False if none of them has a subscriber."""
        # Not in the loop above: its variables would keep the broadcasts alive while it waits.
        remote = self._remote()
        for broadcast in remote:
            _catch_up(broadcast, self._log.position(broadcast.past.thread_id))
        return bool(remote)

    def _finish_remote(self, failure: Exception | None) -> None:
        for broadcast in self._remote():
            broadcast.finish(failure)

    def _remote(self) -> list[Broadcast]:
        return [
            broadcast
            for run_id, broadcast in self._broadcasts.items()
            if run_id not in self._local and not broadcast.is_over
        ]

    def _broadcast(self, run_id: str, thread_id: str, position: int) -> Broadcast:
        """Return the broadcast of a run, or a new one that begins after a position."""
        found = self._broadcasts.get(run_id)
        if found is None or found.is_over:
            row = self._log.run(run_id)
            start = Cursor.before(
                self._log.position_of(thread_id, row.first_version) if row else position + 1
            )
            found = Broadcast(Past(self._log, run_id, thread_id, start), position)
            self._broadcasts[run_id] = found
        return found

    def _row(self, run_id: str) -> RunRow:
        row = self._log.run(run_id)
        if row is None:
            raise NotFound(f"there is no run {run_id!r} in this log")
        return row


def _catch_up(broadcast: Broadcast, until: int) -> None:
    """Publish the events up to a position that are in the log and not yet in the broadcast."""
    while broadcast.position < until:
        events, reached = broadcast.past.after(Cursor.after(broadcast.position), until)
        broadcast.publish(events)
        broadcast.position = reached.position - 1


def _never_began(run_id: str, thread_id: str) -> RunResult:
    return RunResult(run_id, thread_id, "done", NEVER_BEGAN, None, Usage(), 0)
