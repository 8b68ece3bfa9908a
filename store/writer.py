"""The one writer of a log in this process: all appends that wait at a moment become one transaction.

    submit -> waiting -> [begin immediate, admit each, write, commit] -> every request gets its answer

Whoever asks first commits for all who wait (group commit), so concurrent runs share a flush and a
single caller pays for no second thread. No request is answered before COMMIT has returned.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Literal, TypeVar

from . import derived
from .changeset import CONTROL, Changeset, control_stream
from .codec import FORMAT, Encoded, encoded, file_digest, row_digest
from .database import SQLITE_ERRORS, Connection, begin, sqlite3, translated, translation
from .document import loads
from .errors import ChangesetExists, ContentError, LogUnavailable, RunOver, ThreadlogError, VersionConflict
from .history import as_written, file_tip, history, state_at, thread_key, tip
from .state import Head

ANY: Final = "any"
"""In place of an expected version: the order among writers does not matter."""

Expected = int | Literal["any"]
Answer = TypeVar("Answer")

KEPT_THREADS = 256
"""Threads whose head the writer remembers; beyond that it forgets them, and folds what it needs again."""


@dataclass(slots=True, eq=False)
class Request:
    """One append: changesets of one thread, all or none."""

    changesets: Sequence[Changeset]
    encoded: Sequence[Encoded]
    expected: Expected
    heads: Mapping[str, int]

    open_run: str | None = None
    """A run that must not be over."""

    behind: "Request | None" = None
    """One submitted before, without which this one must not be written."""

    notify: Callable[[], None] | None = None
    """Called once, from the writing thread, when the answer is there."""

    answer: int | Exception | None = None
    """The thread's version after the append, or why it was refused; None until the commit returned."""

    def result(self) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


def request(
    changesets: Changeset | Iterable[Changeset],
    expected: Expected,
    heads: Mapping[str, int] | None = None,
    open_run: str | None = None,
) -> Request:
    """A request whose contents are encoded, and so known to be writable.

    Raises:
        ContentError: something in it would not come back, or it is no append to one thread.
    """
    given = (changesets,) if isinstance(changesets, Changeset) else tuple(changesets)
    if len({changeset.thread_id for changeset in given}) != 1:
        raise ContentError("an append holds at least one changeset, and those of one thread only")
    if not given[0].thread_id:
        raise ContentError("a thread id must not be empty")
    if len({changeset.id for changeset in given}) < len(given):
        raise ContentError("two changesets of the append have the same id")
    for changeset in given:
        _check_stream(changeset)
    return Request(given, tuple(map(encoded, given)), expected, heads or {}, open_run)


def _check_stream(changeset: Changeset) -> None:
    if changeset.entry is None and not changeset.thread_id.startswith(CONTROL):
        return
    if not changeset.entry or not changeset.run_id or changeset.thread_id != control_stream(changeset.run_id):
        raise ContentError(
            f"what is wanted of a run, and nothing else, goes to {CONTROL!r} and the run's id, "
            f"not to {changeset.thread_id!r}"
        )


@dataclass(slots=True)
class _Thread:
    """A thread as the writer knows it."""

    key: int
    head: Head


class Writer:
    """Owns the writing connection. `append` may be called from any thread.

    What threads share is the queue of waiting requests and, under the lock, what is known of the log's
    end. A transaction first trusts what is known: if another process has appended meanwhile, the row is
    not the next one and the database refuses it (schema.sql). Only then, and before any request is
    refused, the transaction is begun again with a look at the file.
    """

    def __init__(self, connection: Connection, path: Path, committed: Callable[[], None]) -> None:
        self._connection = connection
        self._path = path
        self._committed = committed
        self._waiting: deque[Request] = deque()
        self._lock = Lock()
        self._closed = False
        self._threads: dict[str, _Thread] = {}
        with as_written(path):
            self._position, self._file_digest = file_tip(connection)

    def append(self, request: Request) -> int:
        """The thread's version after the append. It is durable when this returns."""
        self.submit(request)
        self.commit_waiting()
        return request.result()

    def submit(self, request: Request) -> None:
        """Put a request into the queue; the next `commit_waiting`, whoever calls it, answers it."""
        self._waiting.append(request)

    def commit_waiting(self) -> None:
        """Commit everything that waits. On return, all that was submitted before has its answer."""
        requests: list[Request] = []
        try:
            with self._lock:
                requests += [self._waiting.popleft() for _ in range(len(self._waiting))]
                if requests:
                    self._answer(requests)
        finally:
            # A Ctrl-C ends the wait of the caller it comes to: the others have their answers too.
            if requests:
                self._committed()
            for request in requests:
                if request.notify:
                    request.notify()

    def exclusively(self, work: Callable[[Connection], None]) -> None:
        """Do `work` in one transaction, while no append goes on here or in another process."""
        with self._lock, translated(self._path):
            self._transact(lambda: work(self._connection))

    def close(self) -> None:
        """Close the connection, after the append that is under way. Later ones are refused."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _answer(self, requests: list[Request]) -> None:
        answers: list[int | Exception] = []
        try:
            answers = self._commit(requests)
        except BaseException as err:
            # A commit that reported an error may have landed all the same: the log knows.
            answers = [self._found(request) or self._failure(err) for request in requests]
            if not isinstance(err, Exception):
                raise
        finally:
            for request, answer in zip(requests, answers, strict=True):
                request.answer, request.behind = answer, None

    def _commit(self, requests: list[Request]) -> list[int | Exception]:
        try:
            return self._transact(lambda: [self._write(request) for request in requests])
        except (sqlite3.IntegrityError, ThreadlogError):
            return self._transact(lambda: self._admit_all(requests))

    def _transact(self, work: Callable[[], Answer]) -> Answer:
        if self._closed:
            raise LogUnavailable(f"{str(self._path)!r} was closed: open it again")
        if len(self._threads) > KEPT_THREADS:
            self._threads.clear()
        try:
            # Within the try: a Ctrl-C while it waits for the lock finds the transaction begun.
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

    def _found(self, request: Request) -> int | None:
        try:
            return None if self._closed else self._written(request)
        except (ThreadlogError, sqlite3.Error, *SQLITE_ERRORS):
            return None

    def _admit_all(self, requests: list[Request]) -> list[int | Exception]:
        with as_written(self._path):
            self._position, self._file_digest = file_tip(self._connection)
        return [self._admit(request) for request in requests]

    def _admit(self, request: Request) -> int | Exception:
        """Write the request, or say why not: then nothing of it was written."""
        try:
            version = self._written(request)
            return self._write(request) if version is None else version
        except ThreadlogError as err:
            # Known at once: whatever is submitted behind it is refused, too.
            request.answer = err
            return err

    def _written(self, request: Request) -> int | None:
        """The version of the last changeset, if the log has them all: the append was done before."""
        versions = {
            self._version_of(changeset, coded.content)
            for changeset, coded in zip(request.changesets, request.encoded, strict=True)
        }
        if versions == {None}:
            return None
        if None in versions:
            raise ChangesetExists("a part of the append is in the log already: append the rest by itself")
        return max(version for version in versions if version)

    def _version_of(self, changeset: Changeset, content: bytes) -> int | None:
        found = self._connection.execute(_BY_ID, (changeset.id,)).fetchone()
        if found is None:
            return None
        thread_id, version, written = found
        if written != content:
            raise ChangesetExists(
                f"the id {changeset.id!r} is version {version} of thread {thread_id!r}, with other content: "
                "give every changeset an id of its own"
            )
        return int(version)

    def _write(self, request: Request) -> int:
        """Write the request behind its expected version: the thread's new version."""
        if request.behind and isinstance(refusal := request.behind.answer, Exception):
            if isinstance(refusal, ThreadlogError):
                raise refusal
            raise LogUnavailable("the append before it could not be written") from refusal
        thread_id = request.changesets[0].thread_id
        known = self._thread(thread_id)
        if request.expected != ANY:
            self._check(thread_id, known, request.expected)
        for other, expected in request.heads.items():
            self._check(other, self._thread(other), expected)
        if request.open_run:
            self._check_open(request.open_run)
        # All of the request is known to apply before the first row of it is written.
        heads = _advanced(known.head if known else Head(), request.encoded)
        if known is None:
            known = self._threads[thread_id] = _Thread(self._new_thread(thread_id), heads[0])
        for changeset, coded, head in zip(request.changesets, request.encoded, heads, strict=True):
            self._write_row(known.key, changeset, coded.content, head)
        known.head = heads[-1]
        return known.head.version

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
        """What is known of a thread; None if it is not in the log."""
        known = self._threads.get(thread_id)
        if known is None and (key := thread_key(self._connection, thread_id)):
            # Damage found here is the log's, not the append's.
            with as_written(self._path):
                version, digest = tip(self._connection, key)
                head = Head(version, digest, state_at(self._connection, key, version)).measured()
            known = self._threads[thread_id] = _Thread(key, head)
        return known

    def _new_thread(self, thread_id: str) -> int:
        (key,) = self._connection.execute(
            "insert into thread select coalesce(max(key), 0) + 1, ? from thread returning key", (thread_id,)
        ).fetchone()
        return int(key)

    def _write_row(self, thread: int, changeset: Changeset, content: bytes, head: Head) -> None:
        self._position += 1
        self._file_digest = file_digest(self._file_digest, position=self._position, digest=head.digest)
        row = (
            self._position,
            thread,
            head.version,
            changeset.id,
            FORMAT,
            content,
            head.digest,
            self._file_digest,
        )
        self._connection.execute("insert into changeset values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for statement, parameters in derived.rows(thread, changeset, head):
            self._connection.execute(statement, parameters)


def _advanced(head: Head, request: Sequence[Encoded]) -> list[Head]:
    heads = []
    for coded in request:
        digest = row_digest(head.digest, version=head.version + 1, format=FORMAT, content=coded.content)
        heads.append(head := head.advanced(coded, digest))
    return heads


_RUN_STATUS = "select status, termination from run where id = ?"
_BY_ID = "select name, version, content from changeset join thread on key = thread where id = ?"
