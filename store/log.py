"""The log: open, append at an expected version, read, follow. One SQLite file, many processes."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from os import PathLike
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Self

from . import derived, listing
from .append import Append, Condition, Expected
from .changeset import Changeset
from .database import Connection, Durability, Opened, open_readable, open_writable, translated
from .errors import LogUnavailable, NotFound
from .following import changes, follow
from .history import (
    Entry,
    as_written,
    commands,
    entries,
    file_tip,
    history,
    position_of,
    state_at,
    thread_entries,
    thread_key,
    tip,
    version_at,
)
from .listing import QueuedRow, RunRow, StatusRow, ThreadRow
from .verify import Finding, Heads, heads, verify
from .writer import Writer

logger = logging.getLogger(__name__)


class Log:
    """An open log. Appends may come from any thread; reads never wait for them.

    Values returned by reads never change, and no read writes anything.
    """

    def __init__(self, path: Path, reader: Opened, writer: Connection | None) -> None:
        self.path = path
        self.notice = reader.notice
        """What the user should know about how the file was opened, if anything."""
        self.is_live = reader.is_live
        """Whether reads see later appends. False where the file is in a folder in which no lock can be taken.
        """
        self._reader = reader.connection
        # Held during every read: closing a connection under a read crashes the process.
        self._read = Lock()
        self._closed = False
        self._listeners: set[Callable[[], None]] = set()
        self.writer = Writer(writer, path, self._tell) if writer else None

    @classmethod
    def open(cls, path: str | PathLike[str], durability: Durability = "full", readonly: bool = False) -> Self:
        """Open a log; the file is created if it does not exist. Other processes may have it open.

        With `durability="full"` an acknowledged append survives a power failure; with `"normal"` it survives
        the death of the process, and a power failure may lose the last ones.

        Raises:
            LogNotFound: the file does not exist, and it is opened read-only.
            NotALog, NewerFormat, OlderFormat, CorruptLog, LogUnavailable: as their names say; the file is
                unchanged.
        """
        place = Path(path)
        with ExitStack() as opened:
            writer = None if readonly else opened.enter_context(closing(open_writable(place, durability)))
            reader = open_readable(place)
            opened.enter_context(closing(reader.connection))
            with translated(place):
                log = cls(place, reader, writer)
            opened.pop_all()
        return log

    def append(
        self,
        changesets: Changeset | Iterable[Changeset],
        expected_version: Expected,
        *,
        heads: Mapping[str, int] = MappingProxyType({}),
        open_run: str | None = None,
    ) -> int:
        """Append changesets of one thread atomically and return the thread's new version. Durable on return.

        Repeating an append (same id, same content) is a no-op that returns its version. `heads` names
        versions that other threads must have, `open_run` a run that must not be finished.

        Raises:
            VersionConflict: the thread, or one of `heads`, is at another version.
            RunOver: the run is finished.
            ChangesetExists: an id is taken by other content.
            ContentError, PatchError: something cannot be stored, or does not fit the state.
            LogUnavailable: the log cannot be written now.
        """
        return self.writable().append(Append.of(changesets, expected_version, Condition(heads, open_run)))

    def writable(self) -> Writer:
        """Return the writer.

        Raises:
            LogUnavailable: the log was opened read-only.
        """
        if self.writer is None:
            raise LogUnavailable(f"{str(self.path)!r} was opened read-only")
        return self.writer

    def read(self, thread: str, after: int = 0, until: int | None = None) -> Iterator[Changeset]:
        """Yield a thread's changesets with versions in (after, until], in order; none if it is unknown."""
        with self._reading() as reader:
            key = thread_key(reader, thread)
            end = tip(reader, key).version
        return self._one_by_one(history(reader, key, after, end if until is None else min(until, end)))

    def read_run(self, run_id: str) -> Iterator[Changeset]:
        """Yield the changesets of a run, in order; if it is in several threads, thread by thread.

        Raises:
            NotFound: there is no such run.
        """
        with self._reading() as reader:
            found = reader.execute(_RUN_BEGINNINGS, (run_id,)).fetchall()
            if not found:
                raise NotFound(f"there is no run {run_id!r} in this log")
            parts = [history(reader, key, first - 1, tip(reader, key).version) for key, first in found]
        changesets = self._one_by_one(chain.from_iterable(parts))
        return (changeset for changeset in changesets if changeset.run_id == run_id)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the changesets of all threads after a position, up to the present end, in order."""
        with self._reading() as reader:
            end, _ = file_tip(reader)
        while after < end:
            for entry in self.entries_after(after):
                if entry.position > end:
                    return
                yield entry
                after = entry.position

    def entries_after(self, after: int) -> list[Entry]:
        """Return the next batch of changesets after a position; empty at the end of the log."""
        with self._reading() as reader:
            return entries(reader, after)

    def thread_entries(self, thread: str, after: int, until: int, limit: int) -> list[Entry]:
        """Return a thread's next changesets with positions in (after, until], at most `limit`, in order."""
        with self._reading() as reader:
            return thread_entries(reader, thread_key(reader, thread), after, until, limit)

    def follow(self, after: int = 0, *, timeout: float | None = None) -> Iterator[Entry]:
        """Yield all changesets after a position, existing and future ones, in order, without gap or repeat.

        Ends when the log is closed, or when nothing was appended for `timeout` seconds.
        """
        return follow(self, after, timeout)

    def changes(self, *, timeout: float | None = None) -> Iterator[None]:
        """Yield at once, and then after every commit, of this process or another one.

        Several commits may be one change. Ends after `timeout` seconds of waiting in total.
        """
        return changes(self, timeout)

    @property
    def is_closed(self) -> bool:
        """Whether this log object was closed."""
        return self._closed

    def position(self, thread: str | None = None) -> int:
        """Return the last position of the log, or of a thread in it; 0 while it is empty."""
        with self._reading() as reader:
            if thread is None:
                return file_tip(reader)[0]
            key = thread_key(reader, thread)
            return position_of(reader, key, tip(reader, key).version)

    def position_of(self, thread: str, version: int) -> int:
        """Return the position of a thread's version in the log; 0 if it does not exist."""
        with self._reading() as reader:
            return position_of(reader, thread_key(reader, thread), version)

    def version_at(self, thread: str, position: int) -> int:
        """Return the version of a thread at a position of the log; 0 before its first changeset."""
        with self._reading() as reader:
            return version_at(reader, thread_key(reader, thread), position)

    def head(self, thread: str) -> int:
        """Return the version of a thread, which is its number of changesets; 0 if it is unknown."""
        with self._reading() as reader:
            return tip(reader, thread_key(reader, thread)).version

    def state(self, thread: str, at: int | None = None) -> Any:
        """Return the state document of a thread, at its head or at a version. It is a copy: change it freely.

        Raises:
            NotFound: there is no such thread, or it has no such version.
        """
        with self._reading() as reader:
            key = thread_key(reader, thread)
            if key is None:
                raise NotFound(f"there is no thread {thread!r} in this log")
            end = tip(reader, key).version
            version = end if at is None else at
            if not 0 <= version <= end:
                raise NotFound(f"thread {thread!r} has versions 0 to {end}, not {version}")
            return state_at(reader, key, version)

    def threads(self) -> list[ThreadRow]:
        """Return every thread, in the order in which they began."""
        with self._reading() as reader:
            return listing.threads(reader)

    def runs(self, thread: str | None = None) -> list[RunRow]:
        """Return every run, or those of a thread, in the order in which they started."""
        return self._runs("?1 is null or name = ?1", thread)

    def open_runs(self, thread: str | None = None) -> list[RunRow]:
        """Return the running and waiting runs, in order. The cost grows with their number only."""
        return self._runs("status <> 'done' and (?1 is null or name = ?1)", thread)

    def active_runs(self, thread: str | None = None) -> list[RunRow | QueuedRow]:
        """Return the unfinished runs, of a thread or of all: started ones, then queued ones, in order."""
        with self._reading() as reader:
            return listing.active(reader, thread)

    def run(self, run_id: str) -> RunRow | None:
        """Return a run, in its first thread if it is in several; None if it has not started."""
        return next(iter(self._runs("id = ?", run_id)), None)

    def run_status(self, run_id: str) -> StatusRow | None:
        """Return the status of a run, also a queued one, with its unread commands; None if unknown."""
        with self._reading() as reader:
            return listing.run_status(reader, run_id)

    def children(self, run_id: str) -> list[RunRow]:
        """Return the runs that a run has started."""
        return self._runs("parent = ?", run_id)

    def child_ids(self, run_id: str) -> list[str]:
        """Return the ids of the runs that a run has started or queued."""
        with self._reading() as reader:
            return listing.child_ids(reader, run_id)

    def _runs(self, where: str, *values: str | None) -> list[RunRow]:
        with self._reading() as reader:
            return listing.runs(reader, where, values)

    def queued(self, thread: str | None = None) -> list[QueuedRow]:
        """Return the queued runs, of all threads or of one, in order of arrival."""
        with self._reading() as reader:
            return listing.queued(reader, thread)

    def commands_after(self, after: int) -> list[Entry]:
        """Return the changesets of control streams (commands to runs) after a position, in order."""
        with self._reading() as reader:
            return commands(reader, after)

    def data_version(self) -> int:
        """Return a number that changes whenever any process commits."""
        with self._reading() as reader:
            return int(reader.execute("pragma data_version").fetchone()[0])

    def heads(self) -> Heads:
        """Return the ends of the log. Keep them elsewhere: `verify(heads)` detects truncation with them."""
        with (
            translated(self.path),
            closing(open_readable(self.path).connection) as reader,
            as_written(self.path),
        ):
            return heads(reader)

    def verify(self, heads: Heads | None = None) -> list[Finding]:
        """Return everything in the file that differs from what was written. Reads the whole file."""
        with translated(self.path), closing(open_readable(self.path).connection) as reader:
            return list(verify(reader, heads))

    def rebuild(self) -> None:
        """Rebuild every derived table from the log, in one transaction. Appends wait for it.

        Raises:
            CorruptLog: the log itself is damaged: see `verify`.
        """
        with as_written(self.path):
            self.writable().exclusively(lambda connection: derived.rebuild(connection, connection))

    def close(self) -> None:
        """Close the file. Acknowledged appends are durable; followers end."""
        with self._read:
            self._closed = True
            self._reader.close()
        # The writer last: only a writable connection checkpoints the write-ahead log into the file.
        if self.writer:
            self.writer.close()
        self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        how = "closed" if self._closed else "open" if self.writer else "read only"
        return f"<Log {str(self.path)!r} {how}>"

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every commit of this process, from the committing thread.

        Return the function that stops that.
        """
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            try:
                listener()
            except Exception:
                # The commit is done, and other appends wait for their answers.
                logger.exception("a listener of %r failed", str(self.path))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._read, translated(self.path), as_written(self.path):
            if self._closed:
                raise LogUnavailable(f"{str(self.path)!r} was closed: open it again")
            yield self._reader

    def _one_by_one(self, changesets: Iterator[Changeset]) -> Iterator[Changeset]:
        # Nothing is held while the caller looks at a changeset.
        while True:
            with self._reading():
                changeset = next(changesets, None)
            if changeset is None:
                return
            yield changeset


_RUN_BEGINNINGS = "select thread, first_version from run where id = ? order by thread"
