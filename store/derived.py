"""The derived tables: the rows that an append adds to them, and their rebuild from the log."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from .changeset import Changeset, ControlEntry, RunStatus
from .database import DERIVED, Connection, statements
from .document import dumps
from .history import contents, tip
from .state import SNAPSHOT_EVERY, State

TABLES = ("run", "queued", "cancelled", "message", "thread_metadata", "snapshot")

_RUN = """
insert into run values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?11, ?12, 0)
on conflict do update set
  parent = coalesce(excluded.parent, parent), agent = coalesce(excluded.agent, agent),
  epoch = excluded.epoch, status = excluded.status, termination = excluded.termination,
  input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
  updated_at = excluded.updated_at, last_version = excluded.last_version,
  executor = coalesce(excluded.executor, executor)
"""
_CONTROL = "update run set control = ? where id = ? and thread = ?"
_QUEUED = "insert or ignore into queued values (?, ?, ?, ?, ?)"
_CANCELLED = "insert or replace into cancelled values (?, ?)"
_MESSAGE = "insert or ignore into message values (?, ?, ?)"
_THREAD_METADATA = """
insert into thread_metadata values (?, ?, ?, json_patch('{}', ?4))
on conflict (thread) do update set
  parent = coalesce(excluded.parent, parent), owner = coalesce(excluded.owner, owner),
  labels = json_patch(labels, ?4)
"""
_SNAPSHOT = "insert into snapshot values (?, ?, ?)"


class Row(NamedTuple):
    """A statement and its parameters: one change of a derived table."""

    statement: str
    parameters: tuple[Any, ...]


def rows(thread: int, version: int, changeset: Changeset, document: Any) -> Iterator[Row]:
    """Yield the rows that a changeset adds; `document` is the thread's state after it."""
    if changeset.run is not None and changeset.run_id is not None:
        yield Row(_RUN, _run(thread, version, changeset, changeset.run))
    if changeset.control is not None:
        yield Row(_CONTROL, (changeset.control, changeset.run_id, thread))
    if changeset.entry is not None:
        yield from _command(thread, version, changeset.run_id, changeset.entry)
    for message in changeset.messages:
        yield Row(_MESSAGE, (thread, message.id, version))
    if changeset.thread is not None:
        given = changeset.thread
        yield Row(_THREAD_METADATA, (thread, given.parent, given.owner, dumps(given.labels).decode()))
    if version % SNAPSHOT_EVERY == 0:
        yield Row(_SNAPSHOT, (thread, version, dumps(document)))


def _command(stream: int, version: int, run_id: str | None, entry: ControlEntry) -> Iterator[Row]:
    if start := entry.start:
        yield Row(_QUEUED, (run_id, stream, start.thread_id, start.agent, start.parent_run_id))
    elif entry.kind == "cancel":
        yield Row(_CANCELLED, (run_id, version))


def _run(thread: int, version: int, changeset: Changeset, run: RunStatus) -> tuple[Any, ...]:
    return (
        changeset.run_id,
        thread,
        changeset.parent_run_id,
        changeset.agent.name if changeset.agent else None,
        changeset.epoch,
        run.status,
        run.termination.model_dump_json(exclude_none=True) if run.termination else None,
        run.usage.input_tokens,
        run.usage.output_tokens,
        changeset.at,
        version,
        changeset.executor.model_dump_json() if changeset.executor else None,
    )


def rebuild(log: Connection, target: Connection) -> None:
    """Rebuild every derived table in `target` (which may be `log` itself) from the changesets in `log`.

    Must run inside a transaction of `target`; existing derived tables are dropped.

    Raises:
        CorruptLog, PatchError: a changeset cannot be read or does not apply: see `threadlog verify`.
    """
    for table in TABLES:
        target.execute(f"drop table if exists {table}")
    for statement in statements(DERIVED):
        target.execute(statement)
    for row in _all_rows(log):
        target.execute(*row)


def _all_rows(log: Connection) -> Iterator[Row]:
    """Yield thread by thread, so that one state document is in memory at a time."""
    for (thread,) in log.execute("select key from thread order by key").fetchall():
        state = State()
        for written in contents(log, thread, 0, tip(log, thread).version):
            state = state.after(written.patches(), len(written.content))
            yield from rows(thread, written.version, written.changeset(), state.document)
