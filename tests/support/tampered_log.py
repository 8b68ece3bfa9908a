"""A log with something of everything in it, and what verify finds when something was done to the file."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import reject

from support.log_files import open_without_triggers
from support.logs import append_all, value_changeset
from threadlog.store import Changeset, Finding, Heads, Log, Message, ThreadMetadata
from threadlog.store.changeset import (
    AgentSnapshot,
    ControlEntry,
    RunRequest,
    RunStatus,
    Termination,
    Usage,
    control_stream,
)
from threadlog.store.codec import FORMAT, GENESIS, file_digest, row_digest
from threadlog.store.database import Connection, sqlite3


class Row(NamedTuple):
    """Where a row of the log stands."""

    position: int
    thread: str
    version: int


class Written(NamedTuple):
    """A log as it was written: a closed file, its heads and what is read from it."""

    file: bytes
    heads: Heads
    rows: list[Row]
    readings: Any


def history() -> Iterator[Changeset]:
    """Something of everything: several threads, runs, messages, facts and, by the fixture, snapshots."""
    for n in range(1, 15):
        thread = f"t{n % 3 + 1}"
        facts = RunStatus(status="running", usage=Usage(input_tokens=n))
        if n > 11:
            facts = RunStatus(status="done", termination=Termination(type="natural_end"))
        yield value_changeset(f"/{n}", {"list": [n]}, id=f"c{n}", thread_id=thread).model_copy(
            update={
                "at": n,
                "run_id": f"r{n % 3}",
                "run": facts if n % 2 else None,
                "agent": AgentSnapshot(name="planner", fingerprint="f", specification={}) if n < 4 else None,
                "messages": (Message(id=f"m{n}", role="user", content="hello"),),
                "thread": ThreadMetadata(owner="ann", labels={"n": str(n)}) if n % 4 == 0 else None,
            }
        )
    hello = Message(id="m1", role="user", content="hello")
    wanted = RunRequest(agent="planner", thread_id="t1", messages=(hello,))
    yield _entry("c15", ControlEntry(id="start", kind="start", start=wanted))
    yield _entry("c16", ControlEntry(id="e1", kind="steer", by="ann", content="hello"))
    yield _entry("c17", ControlEntry(id="e2", kind="cancel", by="ann"))


def _entry(id: str, entry: ControlEntry) -> Changeset:
    stream = control_stream("r9")
    return Changeset(id=id, thread_id=stream, reason="control", at=15, run_id="r9", entry=entry)


def readings(log: Log) -> Any:
    states = {
        row.thread_id: [log.state(row.thread_id, at=v) for v in (0, row.version)] for row in log.threads()
    }
    return list(log.entries()), log.threads(), log.runs(), log.queued(), states


@cache
def written() -> Written:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        with Log.open(path, durability="normal") as log:
            append_all(log, history())
            heads, seen = log.heads(), readings(log)
            rows = [Row(at, item.thread_id, item.version) for at, item in log.entries()]
        return Written(path.read_bytes(), heads, rows, seen)


@contextmanager
def copied(content: bytes | None = None) -> Iterator[Path]:
    """A file of its own for every example, with what was written or other bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        path.write_bytes(content or written().file)
        yield path


def found(tamper: Callable[[Connection], Any], *, heads: bool = False) -> list[Finding]:
    """What verify finds after something was done to the file, past every trigger."""
    with copied() as path:
        with open_without_triggers(path) as connection:
            before = connection.total_changes
            try:
                tamper(connection)
            except sqlite3.IntegrityError:
                reject()
            if connection.total_changes == before:
                reject()
        with Log.open(path, readonly=True) as log:
            return log.verify(written().heads if heads else None)


def names(findings: list[Finding], *rows: Row) -> bool:
    """Whether a finding says where one of the rows stands."""
    places = {row.position for row in rows}, {row[1:] for row in rows}
    return any(f.position in places[0] or (f.thread, f.version) in places[1] for f in findings)


def rewrite(connection: Connection) -> None:
    """Make both chains fit what the rows now say, and the derived tables too: a careful forger."""
    ends: dict[int, tuple[int, bytes]] = {}
    whole = GENESIS
    rows = connection.execute("select position, thread, content from changeset order by position").fetchall()
    for position, thread, content in rows:
        version, digest = ends.get(thread, (0, GENESIS))
        digest = row_digest(digest, version=version + 1, format=FORMAT, content=content)
        ends[thread] = (version + 1, digest)
        whole = file_digest(whole, position=position, digest=digest)
        connection.execute(
            "update changeset set version = ?, digest = ?, file_digest = ? where position = ?",
            (version + 1, digest, whole, position),
        )
