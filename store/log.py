"""The log: open, append behind an expected version, read, follow. One SQLite file, many processes."""

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

    What a read returned never changes, and no read writes anything.
    """

    def __init__(self, path: Path, reader: Opened, writer: Connection | None) -> None:
        self.path = path
        self.notice = reader.notice
        """What the user should know of how the file was opened, if anything."""
        self.is_live = reader.is_live
        """If reads see what is written from now on. Not where the file lies so that no lock can be taken."""
        self._reader = reader.connection
        # Held by every read while it is under way: to close a connection under a read crashes the process.
        self._read = Lock()
        self._closed = False
        self._listeners: set[Callable[[], None]] = set()
        self.writer = Writer(writer, path, self._tell) if writer else None

    @classmethod
    def open(cls, path: str | PathLike[str], durability: Durability = "full", readonly: bool = False) -> Self:
        """Open a log; the file is made if there is none. Other processes may have it open, or open it now.

        With `durability="full"` an acknowledged append survives power loss; with `"normal"` it survives
        the death of the process, and power loss may take the last ones.

        Raises:
            LogNotFound: there is no such file, and it is opened to be read only.
            NotALog, NewerFormat, CorruptLog, LogUnavailable: as their names say; the file is unchanged.
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
        """Append changesets of one thread, all or none: the thread's new version. Durable on return.

        Appending again what is there already, id and content, changes nothing and gives its version.
        `heads` names versions that other threads must have, `open_run` a run that must not be over.

        Raises:
            VersionConflict: the thread, or one of `heads`, is at another version.
            RunOver: the run is over.
            ChangesetExists: an id is taken by other content.
            ContentError, PatchError: something in it cannot be kept, or does not fit the state.
            LogUnavailable: it cannot be written now.
        """
        return self.writable().append(Append.of(changesets, expected_version, Condition(heads, open_run)))

    def writable(self) -> Writer:
        """The writer.

        Raises:
            LogUnavailable: the log was opened to be read only.
        """
        if self.writer is None:
            raise LogUnavailable(f"{str(self.path)!r} was opened to be read only")
        return self.writer

    def read(self, thread: str, after: int = 0, until: int | None = None) -> Iterator[Changeset]:
        """The changesets of a thread with versions in (after, until], in order; none of an unknown thread."""
        with self._reading() as reader:
            key = thread_key(reader, thread)
            end = tip(reader, key).version
        return self._one_by_one(history(reader, key, after, end if until is None else min(until, end)))

    def read_run(self, run_id: str) -> Iterator[Changeset]:
        """The changesets of a run, in order; if it is in several threads, thread by thread.

        Raises:
            NotFound: no such run.
        """
        with self._reading() as reader:
            found = reader.execute(_RUN_BEGINNINGS, (run_id,)).fetchall()
            if not found:
                raise NotFound(f"there is no run {run_id!r} in this log")
            parts = [history(reader, key, first - 1, tip(reader, key).version) for key, first in found]
        changesets = self._one_by_one(chain.from_iterable(parts))
        return (changeset for changeset in changesets if changeset.run_id == run_id)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """All changesets behind a position, over all threads, in the order of appending, to the end now."""
        with self._reading() as reader:
            end, _ = file_tip(reader)
        while after < end:
            for entry in self.entries_after(after):
                if entry.position > end:
                    return
                yield entry
                after = entry.position

    def entries_after(self, after: int) -> list[Entry]:
        """The next entries behind a position, as many as are well read at once; none at the end."""
        with self._reading() as reader:
            return entries(reader, after)

    def thread_entries(self, thread: str, after: int, until: int, limit: int) -> list[Entry]:
        """The next changesets of a thread with positions in (after, until], at most `limit`, in order."""
        with self._reading() as reader:
            return thread_entries(reader, thread_key(reader, thread), after, until, limit)

    def follow(self, after: int = 0, *, timeout: float | None = None) -> Iterator[Entry]:
        """All changesets after a position, and then those to come, in order, without gap or repeat.

        Waits for more until the log is closed, or until nothing has come for `timeout` seconds.
        """
        return follow(self, after, timeout)

    def changes(self, *, timeout: float | None = None) -> Iterator[None]:
        """Yield at once, and then whenever something was committed, here or by another process.

        Several commits may be one change. Ends when it has waited for `timeout` seconds in all.
        """
        return changes(self, timeout)

    @property
    def is_closed(self) -> bool:
        """Whether the log was closed here."""
        return self._closed

    def position(self, thread: str | None = None) -> int:
        """The last position of the log, or of a thread in it; 0 while nothing is in it."""
        with self._reading() as reader:
            if thread is None:
                return file_tip(reader)[0]
            key = thread_key(reader, thread)
            return position_of(reader, key, tip(reader, key).version)

    def position_of(self, thread: str, version: int) -> int:
        """The position of a thread's version in the log; 0 if it does not exist."""
        with self._reading() as reader:
            return position_of(reader, thread_key(reader, thread), version)

    def version_at(self, thread: str, position: int) -> int:
        """The version of a thread at a position of the log; 0 before its first changeset."""
        with self._reading() as reader:
            return version_at(reader, thread_key(reader, thread), position)

    def head(self, thread: str) -> int:
        """The version of a thread: how many changesets it has; 0 of an unknown one."""
        with self._reading() as reader:
            return tip(reader, thread_key(reader, thread)).version

    def state(self, thread: str, at: int | None = None) -> Any:
        """The state document of a thread, at its head or at a version: a value of the caller's own.

        Raises:
            NotFound: no such thread, or it has no such version.
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
        """Every thread, in the order in which they began."""
        with self._reading() as reader:
            return listing.threads(reader)

    def runs(self, thread: str | None = None) -> list[RunRow]:
        """Every run, or those of a thread, in the order in which they began."""
        return self._runs("?1 is null or name = ?1", thread)

    def open_runs(self, thread: str | None = None) -> list[RunRow]:
        """The runs that are running or waiting, in order. Costs as much as there are such runs."""
        return self._runs("status <> 'done' and (?1 is null or name = ?1)", thread)

    def active_runs(self, thread: str | None = None) -> list[RunRow | QueuedRow]:
        """The runs that are not finished, of a thread or of all: started ones, then queued ones, in order."""
        with self._reading() as reader:
            return listing.active(reader, thread)

    def run(self, run_id: str) -> RunRow | None:
        """A run; if it is in several threads, in the first. None if it has not begun."""
        return next(iter(self._runs("id = ?", run_id)), None)

    def run_status(self, run_id: str) -> StatusRow | None:
        """Where a run is, one in a queue included, and its unread commands. None if it is unknown."""
        with self._reading() as reader:
            return listing.run_status(reader, run_id)

    def children(self, run_id: str) -> list[RunRow]:
        """The runs that a run has started."""
        return self._runs("parent = ?", run_id)

    def child_ids(self, run_id: str) -> list[str]:
        """The ids of the runs that a run has started or queued."""
        with self._reading() as reader:
            return listing.child_ids(reader, run_id)

    def _runs(self, where: str, *values: str | None) -> list[RunRow]:
        with self._reading() as reader:
            return listing.runs(reader, where, values)

    def queued(self, thread: str | None = None) -> list[QueuedRow]:
        """The runs that wait for their turn, on all threads or on one, in the order in which they came."""
        with self._reading() as reader:
            return listing.queued(reader, thread)

    def commands_after(self, after: int) -> list[Entry]:
        """The commands to runs after a position: the changesets of control streams, in order."""
        with self._reading() as reader:
            return commands(reader, after)

    def data_version(self) -> int:
        """A number that is another one whenever something was committed since, by whomever."""
        with self._reading() as reader:
            return int(reader.execute("pragma data_version").fetchone()[0])

    def heads(self) -> Heads:
        """The ends of the log now. Keep them elsewhere; `verify(heads)` finds a truncated file by them."""
        with (
            translated(self.path),
            closing(open_readable(self.path).connection) as reader,
            as_written(self.path),
        ):
            return heads(reader)

    def verify(self, heads: Heads | None = None) -> list[Finding]:
        """Everything in the file that is not as it was written; none if all is well. Reads all of it."""
        with translated(self.path), closing(open_readable(self.path).connection) as reader:
            return list(verify(reader, heads))

    def rebuild(self) -> None:
        """Make every derived table anew from the log, in one transaction. Appends wait for it.

        Raises:
            CorruptLog: the log itself is damaged: see `verify`.
        """
        with as_written(self.path):
            self.writable().exclusively(lambda connection: derived.rebuild(connection, connection))

    def close(self) -> None:
        """Close the file. What was acknowledged is durable; followers end."""
        with self._read:
            self._closed = True
            self._reader.close()
        # The writer last: only a connection that may write folds the write-ahead log into the file.
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
        """Have `listener` called after every commit of this process, from the committing thread.

        Returns how to end that.
        """
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            try:
                listener()
            except Exception:
                # The commit is done, and others wait for their answers.
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
