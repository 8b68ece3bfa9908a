"""Changesets to append, and ways to look into a log's file and to tamper with it."""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from threadlog.store import Changeset, Log, TrackedPatch
from threadlog.store.database import SCHEMA, Connection, sqlite3, statements
from threadlog.store.patch import Operation

LOG_TABLES = ("thread", "changeset")
DERIVED_TABLES = ("run", "queued", "cancelled", "message", "thread_metadata", "snapshot")


def changeset(id: str = "c1", thread_id: str = "t1", **fields: Any) -> Changeset:
    return Changeset(**{"id": id, "thread_id": thread_id, "reason": "edited", "at": 0, **fields})


def patched(*operations: Operation, id: str = "c1", thread_id: str = "t1") -> Changeset:
    return changeset(id, thread_id, patches=(TrackedPatch(operations=operations, source="test"),))


def setting(path: str, value: Any, *, id: str = "c1", thread_id: str = "t1") -> Changeset:
    return patched({"op": "add", "path": path, "value": value}, id=id, thread_id=thread_id)


def append_all(log: Log, history: Iterable[Changeset]) -> None:
    for item in history:
        log.append(item, log.head(item.thread_id))


def by_thread(history: Iterable[Changeset]) -> dict[str, list[Changeset]]:
    """The histories of the threads, with the versions that appending gives."""
    found: dict[str, list[Changeset]] = {}
    for item in history:
        own = found.setdefault(item.thread_id, [])
        own.append(item.model_copy(update={"version": len(own) + 1}))
    return found


@contextmanager
def fresh_log() -> Iterator[Log]:
    """A log of its own for every example of a law."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Log.open(Path(folder) / "log.db", durability="normal") as log,
    ):
        yield log


@contextmanager
def raw(path: Path) -> Iterator[Connection]:
    """SQLite itself, past everything the log does. Of the same library, else its locks are lost."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("pragma foreign_keys = off")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def tampering(path: Path) -> Iterator[Connection]:
    """As `raw`, with the triggers away while it lasts, and back as they were after it."""
    with raw(path) as connection:
        triggers = [s for s in statements(SCHEMA) if "create trigger" in s]
        names = connection.execute("select name from sqlite_master where type = 'trigger'").fetchall()
        for (name,) in names:
            connection.execute(f"drop trigger {name}")
        yield connection
        for trigger in triggers:
            connection.execute(trigger)


def dump(path: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    with raw(path) as connection:
        return {
            table: sorted(connection.execute(f"select * from {table}").fetchall(), key=repr)
            for table in (*LOG_TABLES, *DERIVED_TABLES)
        }


class Committing:
    """A connection whose commits are made by somebody else: he is given each, to be called."""

    def __init__(self, connection: Connection, commit: Callable[[Callable[[], object]], object]) -> None:
        self._connection = connection
        self._commit = commit

    def execute(self, statement: str, *parameters: Any) -> Any:
        execute = partial(self._connection.execute, statement, *parameters)
        return self._commit(execute) if statement == "commit" else execute()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def held_commits(log: Log) -> Iterator[threading.Event]:
    """Commits come no further than to where they would be made. The event says that one has come there."""
    writer, reached, free = log.writable(), threading.Event(), threading.Event()

    def commit(execute: Callable[[], object]) -> None:
        reached.set()
        free.wait()
        execute()

    connection, writer._connection = writer._connection, Committing(writer._connection, commit)
    try:
        yield reached
    finally:
        free.set()
        writer._connection = connection


def numbered(count: int, thread_id: str = "t1") -> list[Changeset]:
    return [changeset(f"{thread_id} {n}", thread_id, at=n) for n in range(1, count + 1)]
