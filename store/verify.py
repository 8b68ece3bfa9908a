"""Every check of a log file: all findings are reported, not the first. Nothing is written.

rows       positions and versions without gaps; both digest chains; every content a changeset
threads    every patch applies; derived tables equal their rebuild, snapshots included
heads      the heads exported earlier still exist, unchanged: only this detects a truncated file
file       SQLite's own integrity check; the tables and triggers are the original ones
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from . import codec, derived
from .changeset import Int64
from .codec import GENESIS
from .database import DERIVED, SCHEMA, SQLITE_ERRORS, Connection, memory, sqlite3, statements
from .errors import CorruptLog, ThreadlogError
from .history import Content, as_written, contents, file_tip, thread_key, tip
from .state import State


class ThreadHead(BaseModel):
    """The end of a thread: its version, and the digest in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Int64
    digest: str


class Heads(BaseModel):
    """The ends of a log at a moment. Kept elsewhere, they prove later that nothing was removed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: Int64
    file_digest: str
    threads: dict[str, ThreadHead]


class Finding(NamedTuple):
    """A place where the file differs from what was written."""

    kind: Literal["file", "schema", "gap", "content", "digest", "thread", "patch", "derived", "head"]
    detail: str
    position: int | None = None
    thread: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        place = [f"position {self.position}"] if self.position is not None else []
        place += [f"thread {self.thread!r}"] if self.thread is not None else []
        place += [f"version {self.version}"] if self.version is not None else []
        return ": ".join(filter(None, [self.kind, ", ".join(place), self.detail]))


def heads(connection: Connection) -> Heads:
    """Return the heads of every thread and of the whole log, read in one transaction."""
    connection.execute("begin")
    try:
        position, digest = file_tip(connection)
        threads = connection.execute("select name, key from thread order by key").fetchall()
        ends = {name: tip(connection, key) for name, key in threads}
    finally:
        connection.rollback()
    return Heads(
        position=position,
        file_digest=digest.hex(),
        threads={
            name: ThreadHead(version=end.version, digest=end.digest.hex()) for name, end in ends.items()
        },
    )


def verify(connection: Connection, known: Heads | None = None) -> Iterator[Finding]:
    """Yield every finding, from one snapshot of the file: concurrent appends do not matter."""
    checks = (_file, _schema, _rows, _threads)
    connection.execute("begin")
    try:
        for check in checks:
            yield from _as_far_as_readable(check(connection))
        if known is not None:
            yield from _as_far_as_readable(_heads(connection, known))
    finally:
        connection.rollback()


def _as_far_as_readable(findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        with as_written():
            yield from findings
    except (*SQLITE_ERRORS, CorruptLog) as err:
        yield Finding("file", f"this check could not read on: {err}")


def _file(connection: Connection) -> Iterator[Finding]:
    for (problem,) in connection.execute("pragma integrity_check(100)"):
        if problem != "ok":
            yield Finding("file", problem)


def _schema(connection: Connection) -> Iterator[Finding]:
    expected, found = _objects(_empty()), _objects(connection)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield Finding("schema", f"{name} is missing")
        elif name not in expected:
            yield Finding("schema", f"{name} is not threadlog's")
        elif expected[name] != found[name]:
            yield Finding("schema", f"{name} was changed")


def _empty() -> Connection:
    fresh = memory()
    for statement in (*statements(SCHEMA), *statements(DERIVED)):
        fresh.execute(statement)
    return fresh


def _objects(connection: Connection) -> dict[str, tuple[str, str]]:
    rows = connection.execute("select type || ' ' || name, tbl_name, coalesce(sql, '') from sqlite_master")
    return {name: (table, sql) for name, table, sql in rows}


@dataclass(slots=True)
class _Row:
    """A row of the log as stored, with the name of its thread."""

    position: int
    thread: str | None
    key: int
    version: int
    id: str
    format: int
    content: bytes
    digest: bytes
    file_digest: bytes

    def finding(self, kind: Literal["gap", "content", "digest", "thread"], detail: str) -> Finding:
        return Finding(kind, detail, self.position, self.thread, self.version)


# Columns from the thread's key on: in a damaged file SQLite does not enforce their types.
_TYPES = [int, int, str, int, bytes, bytes, bytes]


@dataclass(slots=True)
class _Chain:
    """What the next row should be, given the rows so far."""

    position: int = 0
    file_digest: bytes = GENESIS
    threads: dict[int, tuple[int, bytes]] = field(default_factory=dict)


def _rows(connection: Connection) -> Iterator[Finding]:
    chain = _Chain()
    rows = connection.execute(
        "select position, name, thread, version, id, format, content, digest, file_digest"
        " from changeset left join thread on key = thread order by position"
    )
    for values in rows:
        row = _Row(*values)
        if [type(value) for value in values[2:]] != _TYPES:
            yield row.finding("content", "the values are not of the types of their columns")
            continue
        yield from _content(row)
        yield from _place_in_thread(row, chain)
        yield from _place_in_file(row, chain)


def _content(row: _Row) -> Iterator[Finding]:
    try:
        changeset = Content(row.version, row.format, row.content).changeset()
        canonical = codec.encode(changeset)
    except ThreadlogError as err:
        yield row.finding("content", str(err))
        return
    if canonical != row.content:
        yield row.finding("content", "these are not the canonical bytes of the changeset")
    if changeset.id != row.id:
        yield row.finding("content", f"the row says id {row.id!r}, the content {changeset.id!r}")
    if changeset.thread_id != row.thread:
        yield row.finding(
            "thread", f"the row says thread {row.thread!r}, the content {changeset.thread_id!r}"
        )


def _place_in_thread(row: _Row, chain: _Chain) -> Iterator[Finding]:
    version, digest = chain.threads.get(row.key, (0, GENESIS))
    # After a finding continue from what the file says: otherwise every later row would be reported.
    chain.threads[row.key] = (row.version, row.digest)
    if row.version != version + 1:
        yield row.finding("gap", f"version {version} of the thread goes before it")
    elif row.digest != codec.row_digest(digest, version=row.version, format=row.format, content=row.content):
        yield row.finding("digest", "the row, or the one before it in its thread, is not what was written")


def _place_in_file(row: _Row, chain: _Chain) -> Iterator[Finding]:
    position, digest = chain.position, chain.file_digest
    chain.position, chain.file_digest = row.position, row.file_digest
    if row.position != position + 1:
        yield row.finding("gap", f"position {position} goes before it: {row.position - position - 1} missing")
    elif row.file_digest != codec.file_digest(digest, position=row.position, digest=row.digest):
        yield row.finding("digest", "the row, or the one before it in the log, is not what was written")


def _threads(connection: Connection) -> Iterator[Finding]:
    """Folds every thread once and compares the derived tables with the result."""
    anew = _empty()
    threads = connection.execute("select key, name from thread order by key").fetchall()
    for place, (key, name) in enumerate(threads, 1):
        end = tip(connection, key).version
        if key != place or not end:
            yield Finding("thread", "it is not where it was written", thread=name)
        state = State()
        for written in contents(connection, key, 0, end):
            try:
                state = state.after(written.patches(), len(written.content))
                for row in derived.rows(key, written.version, written.changeset(), state.document):
                    anew.execute(*row)
            except (ThreadlogError, KeyError, TypeError, AttributeError) as err:
                detail = f"{err}; later versions of this thread were not folded"
                yield Finding("patch", detail, thread=name, version=written.version)
                break
    for table in derived.TABLES:
        yield from _table(table, connection, anew)


def _table(table: str, connection: Connection, anew: Connection) -> Iterator[Finding]:
    try:
        found = set(connection.execute(f"select * from {table}").fetchall())
    except sqlite3.OperationalError as err:
        yield Finding("derived", f"{table}: {err}; `threadlog rebuild` makes it anew")
        return
    expected = set(anew.execute(f"select * from {table}").fetchall())
    for row in sorted(expected - found, key=repr):
        yield Finding("derived", f"{table} lacks {_brief(row)}; `threadlog rebuild` makes it anew")
    for row in sorted(found - expected, key=repr):
        yield Finding("derived", f"{table} has {_brief(row)}, which does not follow from the log")


def _brief(row: tuple[Any, ...]) -> str:
    shown = ", ".join("…" if isinstance(value, bytes) else repr(value) for value in row)
    return f"({shown})"


def _heads(connection: Connection, known: Heads) -> Iterator[Finding]:
    at_position = connection.execute(
        "select lower(hex(file_digest)) from changeset where position = ?", (known.position,)
    ).fetchone()
    if known.position and not at_position:
        yield Finding(
            "head", f"the log once reached position {known.position}: its end is gone", known.position
        )
    elif known.position and at_position[0] != known.file_digest:
        yield Finding("head", "the log up to here is not the one whose heads are given", known.position)
    for name, head in known.threads.items():
        found = connection.execute(
            "select lower(hex(digest)) from changeset where thread = ? and version = ?",
            (thread_key(connection, name), head.version),
        ).fetchone()
        if not found:
            yield Finding("head", "the thread once reached this version", thread=name, version=head.version)
        elif found[0] != head.digest:
            yield Finding("head", "this is not what it once was", thread=name, version=head.version)
