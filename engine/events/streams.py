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
from ...store.listing import RunRow
from ...store.log import Log
from .broadcast import Broadcast, Subscription
from .event import Cursor, RunFinished, RunResult
from .facts import Past, facts
from .wakeup import Wakeup


class Streams:
    """For each run that is listened to or executed here, its broadcast."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._broadcasts: WeakValueDictionary[str, Broadcast] = WeakValueDictionary()
        self._told_here: dict[str, Broadcast] = {}
        """The runs whose loops are here; what others do is read from the log."""
        self._wanted = Wakeup()
        self._is_closed = False

    def subscribe(
        self, run_id: str, after: Cursor | None = None, *, is_broken: Callable[[], bool] = lambda: False
    ) -> Subscription:
        """The events of a run behind a cursor, until it is done or, all that was told heard, broken.

        Raises:
            NotFound: there is no such run.
            LogUnavailable: the log is closed.
        """
        broadcast = self._told_here.get(run_id) or self._told_elsewhere(run_id)
        return Subscription(broadcast, after or Cursor.behind(broadcast.past.first_version - 1), is_broken)

    def _told_elsewhere(self, run_id: str) -> Broadcast:
        """The broadcast of a run whose loop is not here, with all that the log has now."""
        head = self._log.head(self._row(run_id).thread_id)
        # Once more, behind the head: a run that is not done now will say so behind that head.
        row = self._row(run_id)
        reached = row.last_version if row.status == "done" else head
        broadcast = self._broadcast(run_id, row.thread_id, reached)
        _read_on(broadcast, reached)
        if row.status == "done" or self._is_closed:
            broadcast.finish()
        self._wanted.set()
        return broadcast

    def known_end(self, run_id: str) -> RunResult | None:
        """How the latest epoch of a run has ended, if the log says so."""
        row = self._log.run(run_id)
        if row is None or row.status == "running":
            return None
        (last,) = self._log.read(row.thread_id, after=row.last_version - 1, until=row.last_version)
        return next(fact.result for fact in facts(last) if isinstance(fact, RunFinished))

    async def has_begun(self, run_id: str) -> bool:
        """Whether a run begins, once that is settled: one that waits for its turn may be cancelled."""
        # A change is noted before it is looked at: what is committed in between is another change.
        async with aclosing(changes(self._log)) as news:
            async for _ in news:
                if self._log.run(run_id):
                    return True
                if not self._begins(run_id):
                    return run_id in self._told_here
        raise AssertionError("changes have no end")

    def has_gone_on(self, known: RunResult) -> bool:
        """Whether a run has gone on since it ended, as far as was known. Not if the log is closed."""
        if self._is_closed or known.status == "done":
            return False
        return self._row(known.run_id).last_version > known.version

    async def end(self, run_id: str, thread_id: str) -> RunResult:
        """How the latest epoch of a run ended, once it has, whoever has executed it.

        Raises:
            LogUnavailable: the log is closed.
        """
        async with aclosing(changes(self._log)) as news:
            async for _ in news:
                if ended := self.known_end(run_id):
                    return ended
                if not self._begins(run_id):
                    return _never_begun(run_id, thread_id)
        raise AssertionError("changes have no end")

    def _begins(self, run_id: str) -> bool:
        """Whether a run has begun or waits for its turn."""
        found = self._log.run_status(run_id)
        return found is not None and (found.run is not None or found.status == "queued")

    @contextmanager
    def telling(self, run_id: str, thread_id: str, version: int) -> Iterator[Broadcast]:
        """Where the loop of a run tells what it does from a version on; until it is left nobody else does."""
        broadcast = self._broadcast(run_id, thread_id, version)
        _read_on(broadcast, version)
        self._told_here[run_id] = broadcast
        try:
            yield broadcast
        finally:
            del self._told_here[run_id]
            if self._is_closed:
                broadcast.finish()
            else:
                # Whoever has taken its thread may have written its end already, and nothing comes after that.
                with suppress(LogError):
                    _read_on(broadcast, self._log.head(thread_id))
            self._wanted.set()

    async def follow(self) -> None:
        """Publish what runs do elsewhere. Endless; polls while a subscriber listens to such a run."""
        while True:
            await self._wanted.wait()
            try:
                await self._tell_all_changes()
            except LogError as err:
                self._finish_elsewhere(err)

    def close(self) -> None:
        """End all subscriptions; those of a run that is executed here end with it."""
        self._is_closed = True
        self._finish_elsewhere(None)

    async def _tell_all_changes(self) -> None:
        async with aclosing(changes(self._log)) as news:
            async for _ in news:
                if not self._tell_changes():
                    return

    def _tell_changes(self) -> bool:
        """Whether someone listens to a run that is executed elsewhere; then its news are told."""
        elsewhere = self._elsewhere()
        for broadcast in elsewhere:
            _read_on(broadcast, broadcast.past.log.head(broadcast.past.thread_id))
        return bool(elsewhere)

    def _finish_elsewhere(self, failure: Exception | None) -> None:
        for broadcast in self._elsewhere():
            broadcast.finish(failure)

    def _elsewhere(self) -> list[Broadcast]:
        return [
            broadcast
            for run_id, broadcast in self._broadcasts.items()
            if run_id not in self._told_here and not broadcast.is_over
        ]

    def _broadcast(self, run_id: str, thread_id: str, version: int) -> Broadcast:
        """The run's own; if nobody has one yet, one that begins behind a version."""
        found = self._broadcasts.get(run_id)
        if found is None or found.is_over:
            row = self._log.run(run_id)
            past = Past(self._log, run_id, thread_id, row.first_version if row else version + 1)
            found = self._broadcasts[run_id] = Broadcast(past, version)
        return found

    def _row(self, run_id: str) -> RunRow:
        row = self._log.run(run_id)
        if row is None:
            raise NotFound(f"there is no run {run_id!r} in this log")
        return row


def _read_on(broadcast: Broadcast, until: int) -> None:
    """Tell the facts that the log has and the broadcast has not told."""
    while broadcast.version < until:
        found, reached = broadcast.past.behind(Cursor.behind(broadcast.version), until)
        for fact in found:
            broadcast.tell(fact)
        broadcast.version = reached.version - 1


def _never_begun(run_id: str, thread_id: str) -> RunResult:
    return RunResult(run_id, thread_id, "done", NEVER_BEGAN, None, Usage(), 0)
