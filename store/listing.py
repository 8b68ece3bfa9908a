"""Lists of threads, runs and queued runs, from the derived tables."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from .changeset import CONTROL, Executor, Termination
from .database import Connection
from .document import loads


class ThreadRow(NamedTuple):
    """A thread at its head. Times are microseconds since 1970, UTC."""

    thread_id: str
    version: int
    messages: int
    updated_at: int
    parent: str | None
    owner: str | None
    labels: dict[str, str]


class RunRow(NamedTuple):
    """A run after its last changeset. Times are microseconds since 1970, UTC."""

    run_id: str
    thread_id: str
    parent_run_id: str | None
    agent: str | None
    epoch: int
    status: Literal["running", "waiting", "done"]
    termination: Termination | None
    input_tokens: int
    output_tokens: int
    started_at: int
    updated_at: int
    first_version: int
    last_version: int
    executor: Executor | None
    """The runtime that executes it, or executed it last."""

    control: int
    """The version of its control stream up to which its commands are applied."""


class QueuedRow(NamedTuple):
    """A run that waits for its turn on its thread."""

    run_id: str
    thread_id: str
    agent: str
    parent_run_id: str | None

    @property
    def status(self) -> Literal["queued"]:
        return "queued"


class StatusRow(NamedTuple):
    """The status of a run at one moment."""

    status: Literal["starting", "running", "waiting", "queued", "done"]
    """`starting`: it has commands and is not in the log yet. A run cancelled in the queue is `done`."""

    is_cancelled: bool
    """Whether its control stream has a cancel command that it has not applied."""

    commands: int
    """The version of its control stream."""

    run: RunRow | None
    """Its row; None if it never started."""

    thread_id: str | None
    """None while it is starting."""

    agent: str | None


def threads(connection: Connection) -> list[ThreadRow]:
    """Return every thread, without control streams, in the order in which they began."""
    return [
        ThreadRow(name, version, messages, loads(content)["at"], parent, owner, loads(labels or b"{}"))
        for name, version, messages, content, parent, owner, labels in connection.execute(_THREADS)
    ]


def runs(connection: Connection, where: str, values: tuple[str | None, ...]) -> list[RunRow]:
    """Return the runs that meet a condition, in the order in which they started."""
    return list(map(_run, connection.execute(_RUNS.format(where=where), values).fetchall()))


def active(connection: Connection, thread: str | None) -> list[RunRow | QueuedRow]:
    """Return the unfinished runs at one moment: started ones, then queued ones, each in order."""
    connection.execute("begin")
    try:
        open_runs = runs(connection, "status <> 'done' and (?1 is null or name = ?1)", (thread,))
        return [*open_runs, *queued(connection, thread)]
    finally:
        connection.rollback()


def run_status(connection: Connection, run_id: str) -> StatusRow | None:
    """Return the status of a run; None if the log does not know it."""
    found = connection.execute(_STATUS, (run_id, CONTROL + run_id)).fetchone()
    *row, cancelled, commands, thread_id, agent = found
    run = _run(row) if row[0] is not None else None
    if run:
        is_cancelled = (cancelled or 0) > run.control
        return StatusRow(run.status, is_cancelled, commands or 0, run, run.thread_id, run.agent)
    if thread_id:
        status: Literal["done", "queued"] = "done" if cancelled else "queued"
        return StatusRow(status, bool(cancelled), commands, None, thread_id, agent)
    return StatusRow("starting", bool(cancelled), commands, None, None, None) if commands else None


def child_ids(connection: Connection, run_id: str) -> list[str]:
    """Return the ids of the runs that a run has started or queued."""
    return [id for (id,) in connection.execute(_CHILD_IDS, (run_id,)).fetchall()]


def queued(connection: Connection, thread: str | None) -> list[QueuedRow]:
    """Return the queued runs, in order of arrival."""
    return list(map(QueuedRow._make, connection.execute(_QUEUED, (thread,)).fetchall()))


def _run(row: Sequence[Any]) -> RunRow:
    return RunRow._make((*row[:6], _termination(row[6]), *row[7:13], _executor(row[13]), row[14]))


def _executor(written: str | None) -> Executor | None:
    return Executor.model_validate_json(written) if written else None


def _termination(written: str | None) -> Termination | None:
    return Termination.model_validate_json(written) if written else None


_THREADS = f"""
select name, version, (select count(*) from message where message.thread = key) as messages, content,
  parent, owner, labels
from thread
join changeset on changeset.thread = key
  and version = (select max(version) from changeset as last where last.thread = key)
left join thread_metadata on thread_metadata.thread = key
where name not glob '{CONTROL}*'
order by key
"""

_COLUMNS = """id, name, run.parent, run.agent, epoch, status, termination, input_tokens, output_tokens,
  started_at, updated_at, first_version, last_version, executor, control"""

_BEGINNING = """
(select position from changeset where changeset.thread = run.thread and version = first_version)
"""

_RUNS = f"""
select {_COLUMNS}
from run join thread on key = thread
where {{where}}
order by {_BEGINNING}
"""

_STATUS = f"""
select {_COLUMNS}, cancelled.version,
  (select max(version) from changeset where changeset.thread = (select key from thread where name = ?2)),
  queued.thread, queued.agent
from (select ?1 as wanted)
left join (run join thread on key = run.thread) on id = wanted
left join queued on queued.run = wanted
left join cancelled on cancelled.run = wanted
order by {_BEGINNING} limit 1
"""

_QUEUED = """
select queued.run, queued.thread, queued.agent, queued.parent
from queued join changeset on changeset.thread = stream and version = 1
where (?1 is null or queued.thread = ?1)
  and not exists (select 1 from cancelled where cancelled.run = queued.run)
  and not exists (select 1 from run where id = queued.run)
order by position
"""

_CHILD_IDS = """
select run from queued where parent = ?1 union select id from run where parent = ?1
"""
