"""The file of a log: its tables, and the commits of its writer, past the API of the log."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from threadlog.store import Log
from threadlog.store.database import SCHEMA, Connection, sqlite3, statements

LOG_TABLES = ("thread", "changeset")
DERIVED_TABLES = ("run", "queued", "cancelled", "message", "thread_metadata", "snapshot")


@contextmanager
def open_sqlite(path: Path) -> Iterator[Connection]:
    """A plain connection to the file. It uses the log's SQLite library: a second one would drop its locks."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("pragma foreign_keys = off")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def open_without_triggers(path: Path) -> Iterator[Connection]:
    """A plain connection without the triggers that forbid changes. They are restored afterwards."""
    with open_sqlite(path) as connection:
        triggers = [s for s in statements(SCHEMA) if "create trigger" in s]
        names = connection.execute("select name from sqlite_master where type = 'trigger'").fetchall()
        for (name,) in names:
            connection.execute(f"drop trigger {name}")
        yield connection
        for trigger in triggers:
            connection.execute(trigger)


def read_tables(path: Path) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with open_sqlite(path) as connection:
        return {
            table: sorted(connection.execute(f"select * from {table}").fetchall(), key=repr)
            for table in (*LOG_TABLES, *DERIVED_TABLES)
        }


class InterceptedConnection:
    """A connection that passes each commit to a function, which may make it."""

    def __init__(self, connection: Connection, commit: Callable[[Callable[[], object]], object]) -> None:
        self._connection = connection
        self._commit = commit

    def execute(self, statement: str, *parameters: Any) -> Any:
        execute = partial(self._connection.execute, statement, *parameters)
        return self._commit(execute) if statement == "commit" else execute()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def hold_commits(log: Log) -> Iterator[threading.Event]:
    """Block the commits of a log while entered. The event is set when a commit is blocked."""
    writer, reached, free = log.writable(), threading.Event(), threading.Event()

    def commit(execute: Callable[[], object]) -> None:
        reached.set()
        free.wait()
        execute()

    connection, writer._connection = writer._connection, InterceptedConnection(writer._connection, commit)
    try:
        yield reached
    finally:
        free.set()
        writer._connection = connection
