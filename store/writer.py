"""The one writer of a log in this process: all appends that wait at a moment become one transaction.

    submit             queues an append
    commit_waiting     takes all queued appends; the first caller commits for every waiting one
      _commit          one transaction, trusting the known ends of the log
        _write         checks version, condition and predecessor, then inserts a row for each changeset
      _admit_all       if that fails: reads the ends and writes each append, refusing those that do not fit
      _find            if the commit itself fails: looks up whether it has landed
    every append then has its answer, and its author is notified

Concurrent runs share a flush, and a single caller needs no second thread. No append is answered before COMMIT
has returned.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

from . import derived
from .append import ANY, Append, Written
from .changeset import Changeset
from .codec import FORMAT, GENESIS, Encoded, file_digest, row_digest
from .database import SQLITE_ERRORS, Connection, begin, sqlite3, translated, translation
from .document import loads
from .errors import ChangesetExists, LogUnavailable, RunOver, ThreadlogError, VersionConflict
from .history import as_written, file_tip, history, state_at, thread_key, tip
from .state import State

Answer = TypeVar("Answer")

KEPT_THREADS = 256
"""Threads whose head the writer remembers. Beyond that it forgets all and reads what it needs again."""


class _Head(NamedTuple):
    """The end of a thread."""

    version: int = 0
    digest: bytes = GENESIS
    state: State = State()

    def after(self, encoded: Encoded) -> "_Head":
        version, state = self.version + 1, encoded.state
        digest = row_digest(self.digest, version=version, format=FORMAT, content=encoded.content)
        # An append at an expected version carries the state that its author folded there.
        return _Head(version, digest, state or self.state.after(encoded.patches, len(encoded.content)))


@dataclass(slots=True)
class _Thread:
    """A thread as the writer knows it."""

    key: int
    head: _Head


class Writer:
    """Owns the writing connection. `append` may be called from any thread.

    Threads share the queue of waiting appends and, under the lock, the known ends of the log. A transaction
    first trusts them: if another process has appended meanwhile, the row is not the next one, and the
    database refuses it (schema.sql). Only then, and before any append is refused, the transaction starts over
    after reading the file.
    """

    def __init__(self, connection: Connection, path: Path, committed: Callable[[], None]) -> None:
        self._connection = connection
        self._path = path
        self._committed = committed
        self._waiting: deque[Append] = deque()
        self._lock = Lock()
        self._closed = False
        self._threads: dict[str, _Thread] = {}
        with as_written(path):
            self._position, self._file_digest = file_tip(connection)

    def append(self, append: Append) -> int:
        """Append and return the thread's new version. It is durable on return."""
        self.submit(append)
        self.commit_waiting()
        return append.result().version

    def submit(self, append: Append) -> None:
        """Queue an append. The next `commit_waiting`, called by any thread, answers it."""
        self._waiting.append(append)

    def commit_waiting(self) -> None:
        """Commit all queued appends. Everything submitted before this call has its answer on return."""
        appends: list[Append] = []
        try:
            with self._lock:
                appends += [self._waiting.popleft() for _ in range(len(self._waiting))]
                if appends:
                    self._answer(appends)
        finally:
            # A Ctrl-C interrupts only the caller that it reaches: the others have their answers.
            if appends:
                self._committed()
            for append in appends:
                if append.notify:
                    append.notify()

    def exclusively(self, work: Callable[[Connection], None]) -> None:
        """Do `work` in one transaction, while no process appends."""
        with self._lock, translated(self._path):
            self._transact(lambda: work(self._connection))

    def close(self) -> None:
        """Close the connection after the current append. Later ones are refused."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _answer(self, appends: list[Append]) -> None:
        answers: list[Written | Exception] = []
        try:
            answers = self._commit(appends)
        except BaseException as err:
            # A commit that reported an error may still have landed: look it up.
            answers = [self._find(append) or self._failure(err) for append in appends]
            if not isinstance(err, Exception):
                raise
        finally:
            for append, answer in zip(appends, answers, strict=True):
                append.answer, append.after = answer, None

    def _commit(self, appends: list[Append]) -> list[Written | Exception]:
        try:
            return self._transact(lambda: [self._write(append) for append in appends])
        except (sqlite3.IntegrityError, ThreadlogError):
            return self._transact(lambda: self._admit_all(appends))

    def _transact(self, work: Callable[[], Answer]) -> Answer:
        if self._closed:
            raise LogUnavailable(f"{str(self._path)!r} was closed: open it again")
        if len(self._threads) > KEPT_THREADS:
            self._threads.clear()
        try:
            # Within the try: a Ctrl-C while waiting for the lock must roll back a transaction that has
            # begun.
            begin(self._connection)
            answer = work()
            self._connection.execute("commit")
        except BaseException:
            self._connection.rollback()
            self._threads.clear()
            raise
        return answer

    def _failure(self, err: BaseException) -> Exception:
        if isinstance(err, SQLITE_ERRORS):
            return translation(err, self._path)
        if isinstance(err, Exception):
            return err
        return LogUnavailable(f"the append was interrupted by {err!r}: look for its id before trying again")

    def _find(self, append: Append) -> Written | None:
        try:
            return None if self._closed else self._find_written(append)
        except (ThreadlogError, sqlite3.Error, *SQLITE_ERRORS):
            return None

    def _admit_all(self, appends: list[Append]) -> list[Written | Exception]:
        with as_written(self._path):
            self._position, self._file_digest = file_tip(self._connection)
        return [self._admit(append) for append in appends]

    def _admit(self, append: Append) -> Written | Exception:
        """Write the append, or return why nothing of it was written."""
        try:
            return self._find_written(append) or self._write(append)
        except ThreadlogError as err:
            # Set at once: appends that follow this one are refused, too.
            append.answer = err
            return err

    def _find_written(self, append: Append) -> Written | None:
        """Return where the append is stored, if it was written before."""
        found = [self._place_of(each.changeset, each.content) for each in append.changesets]
        stored = [place for place in found if place]
        if stored and len(stored) < len(found):
            raise ChangesetExists("a part of the append is in the log already: append the rest by itself")
        return max(stored, default=None)

    def _place_of(self, changeset: Changeset, content: bytes) -> Written | None:
        found = self._connection.execute(_BY_ID, (changeset.id,)).fetchone()
        if found is None:
            return None
        thread_id, version, position, written = found
        if written != content:
            raise ChangesetExists(
                f"the id {changeset.id!r} is version {version} of thread {thread_id!r}, with other content: "
                "give every changeset an id of its own"
            )
        return Written(version, position)

    def _write(self, append: Append) -> Written:
        """Write the append after its expected version."""
        if append.after and isinstance(refusal := append.after.answer, Exception):
            if isinstance(refusal, ThreadlogError):
                raise refusal
            raise LogUnavailable("the append before this one could not be written") from refusal
        thread_id = append.thread_id
        known = self._thread(thread_id)
        if append.expected != ANY:
            self._check(thread_id, known, append.expected)
        for other, expected in append.condition.heads.items():
            self._check(other, self._thread(other), expected)
        if append.condition.open_run:
            self._check_open(append.condition.open_run)
        # The whole append is known to apply before its first row is written.
        heads = _heads(known.head if known else _Head(), append.changesets)
        if known is None:
            known = self._threads[thread_id] = _Thread(self._new_thread(thread_id), heads[0])
        for encoded, head in zip(append.changesets, heads, strict=True):
            self._write_row(known.key, encoded, head)
        known.head = heads[-1]
        return Written(known.head.version, self._position)

    def _check(self, thread_id: str, known: _Thread | None, expected: int) -> None:
        actual = known.head.version if known else 0
        if actual != expected:
            with as_written(self._path):
                between = tuple(history(self._connection, known.key, expected, actual)) if known else ()
            raise VersionConflict(thread_id, expected, actual, between)

    def _check_open(self, run_id: str) -> None:
        for status, termination in self._connection.execute(_RUN_STATUS, (run_id,)).fetchall():
            if status == "done":
                raise RunOver(run_id, loads(termination)["type"] if termination else status)

    def _thread(self, thread_id: str) -> _Thread | None:
        """Return what is known of a thread; None if it is not in the log."""
        known = self._threads.get(thread_id)
        if known is None and (key := thread_key(self._connection, thread_id)):
            # Damage found here belongs to the log, not to the append.
            with as_written(self._path):
                version, digest = tip(self._connection, key)
                state = State(state_at(self._connection, key, version)).measured()
            known = self._threads[thread_id] = _Thread(key, _Head(version, digest, state))
        return known

    def _new_thread(self, thread_id: str) -> int:
        (key,) = self._connection.execute(
            "insert into thread select coalesce(max(key), 0) + 1, ? from thread returning key", (thread_id,)
        ).fetchone()
        return int(key)

    def _write_row(self, thread: int, encoded: Encoded, head: _Head) -> None:
        self._position += 1
        self._file_digest = file_digest(self._file_digest, position=self._position, digest=head.digest)
        row = (
            self._position,
            thread,
            head.version,
            encoded.changeset.id,
            FORMAT,
            encoded.content,
            head.digest,
            self._file_digest,
        )
        self._connection.execute("insert into changeset values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for statement, parameters in derived.rows(
            thread, head.version, encoded.changeset, head.state.document
        ):
            self._connection.execute(statement, parameters)


def _heads(head: _Head, changesets: Sequence[Encoded]) -> list[_Head]:
    """Return the ends of the thread after each of the changesets."""
    return list(accumulate(changesets, _Head.after, initial=head))[1:]


_RUN_STATUS = "select status, termination from run where id = ?"
_BY_ID = "select name, version, position, content from changeset join thread on key = thread where id = ?"
