"""Opening the file: SQLite connections for writing, for reading beside a writer, and for read-only folders.

Two rules cost data when broken. A process that has the log open never opens the same file by `open()` or
through another SQLite library: closing it would drop SQLite's POSIX locks. And `immutable=1` is used only
where there is no write-ahead log, because it would silently ignore its content.
"""

import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

# pysqlite3 if it is installed, otherwise the standard library's; each has exceptions of its own.
from sqlite_utils.utils import sqlite3 as sqlite3

from .codec import FORMAT, refuse_format
from .errors import CorruptLog, LogError, LogNotFound, LogUnavailable, NotALog

Connection = Any  # pysqlite3 brings no types
Durability = Literal["full", "normal"]

SQLITE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
"""The errors that SQLite raises. In a damaged file even their text may not be text."""

APPLICATION_ID = int.from_bytes(b"tlog", "big")
BUSY_SECONDS = 30.0
WAL_RESET_FIXED = (3, 51, 3)
SCHEMA = (files("threadlog.store") / "schema.sql").read_text("utf-8")
DERIVED = (files("threadlog.store") / "derived.sql").read_text("utf-8")


class Opened(NamedTuple):
    """A connection, and what the user should know about it."""

    connection: Connection
    notice: str | None
    is_live: bool = True
    """Whether it sees what is written from now on."""


def open_writable(path: Path, durability: Durability) -> Connection:
    """Open for writing; a file that is missing or empty becomes a log.

    Raises:
        NotALog, NewerFormat, OlderFormat, CorruptLog, LogUnavailable: as their names say.
    """
    _warn_of_wal_reset()
    with translated(path):
        connection = _connect(path, "mode=rwc")
        try:
            if _identify(connection, path) == "empty":
                _create(connection)
            connection.execute(f"pragma synchronous = {durability}")
            # SQLite's own busy handler polls ever more slowly, down to every 100 ms, so new writers
            # overtake old ones: of eight processes that wrote continuously one waited for 9.7 s, and 1.5 s
            # when all polled equally often (`begin`). No other statement waits once a connection has read.
            connection.execute("pragma busy_timeout = 0")
            _refuse_unwritable(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def open_readable(path: Path) -> Opened:
    """Open read-only, beside any writer, and in a folder that cannot be written.

    Raises:
        LogNotFound, NotALog, NewerFormat, OlderFormat, CorruptLog, LogUnavailable: as their names say.
    """
    if not path.is_file():
        raise LogNotFound(f"there is no file {str(path)!r}")
    with translated(path):
        try:
            return Opened(_read_checked(path, "mode=ro"), None)
        except sqlite3.OperationalError as err:
            if (err.sqlite_errorcode or 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            if _is_lockable(path):
                raise
        try:
            return _open_unlockable(path)
        except OSError as err:
            raise LogUnavailable(f"{str(path)!r} cannot be read: {err.strerror}") from err


def _is_lockable(path: Path) -> bool:
    # The problem may be temporary: this process may still have the file open.
    return os.access(path.with_name(path.name + "-shm"), os.W_OK)


def _open_unlockable(path: Path) -> Opened:
    # There is no -shm to write to, so no process has the file open, and `open()` drops no lock of this
    # one.
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or wal.stat().st_size == 0:
        return Opened(_read_checked(path, "mode=ro&immutable=1"), None, is_live=False)
    with tempfile.TemporaryDirectory(prefix="threadlog-") as folder:
        copied = Path(folder) / path.name
        shutil.copyfile(path, copied)
        shutil.copyfile(wal, copied.with_name(wal.name))
        connection = memory()
        source = _read_checked(copied, "mode=rw")
        try:
            source.backup(connection)
        finally:
            source.close()
    return Opened(
        connection,
        f"{str(path)!r} has commits in its write-ahead log and lies where no lock can be taken: "
        "this is a copy made now",
        is_live=False,
    )


def _read_checked(path: Path, query: str) -> Connection:
    connection = _connect(path, query)
    try:
        if _identify(connection, path) == "empty":
            raise NotALog(f"{str(path)!r} is empty: no changeset was ever written to it")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, query: str) -> Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{query}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def back_up(source: Connection, path: Path) -> Connection:
    """Copy the database of a connection into an empty file, and return a connection to the copy."""
    target = _connect(path, "mode=rw")
    try:
        source.backup(target)
        # A copy of a database in memory is not in WAL mode, which the readers of a log rely on.
        target.execute("pragma journal_mode = wal")
    except BaseException:
        target.close()
        raise
    return target


def memory() -> Connection:
    """Open a private in-memory database, for copies and for rebuilds."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _identify(connection: Connection, path: Path) -> Literal["log", "empty"]:
    # One statement, one snapshot: another process may be creating the log at this moment.
    application, written, tables = connection.execute(
        "select (select application_id from pragma_application_id),"
        " (select user_version from pragma_user_version), (select count(*) from sqlite_master)"
    ).fetchone()
    if application == APPLICATION_ID and tables:
        refuse_format(written, repr(str(path)))
        return "log"
    if application or tables:
        raise NotALog(f"{str(path)!r} is an SQLite database, but not a threadlog log")
    return "empty"


def _create(connection: Connection) -> None:
    _enter_wal_mode(connection)
    # Another process may have created the log since the file was seen empty: only one does.
    connection.execute("begin immediate")
    try:
        if not connection.execute("select count(*) from sqlite_master").fetchone()[0]:
            for statement in (*statements(SCHEMA), *statements(DERIVED)):
                connection.execute(statement)
            connection.execute(f"pragma application_id = {APPLICATION_ID}")
            connection.execute(f"pragma user_version = {FORMAT}")
        connection.execute("commit")
    except BaseException:
        connection.rollback()
        raise


def _refuse_unwritable(connection: Connection) -> None:
    # SQLite silently falls back to read-only, for as long as this process has the file open, even if the
    # file or its -shm could not be opened for writing only for a moment.
    try:
        connection.execute("begin immediate")
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
    except sqlite3.OperationalError as err:
        # Another process is writing: fail before waiting if this one may not write at all.
        if (err.sqlite_errorcode or 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
    finally:
        connection.rollback()


def _enter_wal_mode(connection: Connection) -> None:
    # Changing the journal mode does not wait for other connections, unlike every other statement.
    _insist(connection, "pragma journal_mode = wal", every=0.01)


def begin(connection: Connection) -> None:
    """Begin a write transaction on a connection of `open_writable`; waits for other writers."""
    # With a deferred begin two writers could read the head first, and one would then fail with "locked".
    _insist(connection, "begin immediate", every=0.002)


def _insist(connection: Connection, statement: str, *, every: float) -> None:
    """Execute a statement for which SQLite does not wait by itself, retrying while the database is busy."""
    pause = threading.Event()
    for left in range(int(BUSY_SECONDS / every), -1, -1):
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as err:
            if not left or (err.sqlite_errorcode or 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            pause.wait(every)


def statements(script: str) -> Iterator[str]:
    """Split an SQL script into statements, so that they can run inside a transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def translated(path: Path | str) -> Iterator[None]:
    """Translate SQLite's errors into ours."""
    try:
        yield
    except SQLITE_ERRORS as err:
        raise translation(err, path) from err


def translation(err: Any, path: Path | str) -> LogError:
    """Return our error for one of SQLite's, with what to do next."""
    match (getattr(err, "sqlite_errorcode", None) or 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return NotALog(f"{str(path)!r} is not an SQLite database")
        case sqlite3.SQLITE_CORRUPT:
            return CorruptLog(f"{str(path)!r} is damaged ({err}): copy it, then run `threadlog verify`")
        case sqlite3.SQLITE_FULL:
            return LogUnavailable(f"no space is left for {str(path)!r}: free some and append again")
        case sqlite3.SQLITE_READONLY:
            return LogUnavailable(f"{str(path)!r} may not be written: open it with readonly=True to read it")
        # SQLITE_PROTOCOL: the reader exhausted its retries.
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_PROTOCOL:
            return LogUnavailable(
                f"another process has held {str(path)!r} for {BUSY_SECONDS:.0f} s: try again"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return LogUnavailable(f"{str(path)!r} cannot be opened: check the folder and its permissions")
        case sqlite3.SQLITE_IOERR:
            return LogUnavailable(f"{str(path)!r} could not be read or written: {err}")
    return CorruptLog(f"{str(path)!r}: {err}")


_warned = threading.Event()


def _warn_of_wal_reset() -> None:
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED or _warned.is_set():
        return
    _warned.set()
    warnings.warn(
        f"SQLite {sqlite3.sqlite_version} may lose commits when a second process writes to the same log "
        "while it is reset; install pysqlite3, or keep to one process",
        RuntimeWarning,
        stacklevel=4,
    )
