"""What the log lists: its threads, its runs, and the runs that wait for their turn. From derived tables."""

from typing import NamedTuple

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
    """A run as its last facts have it. Times are microseconds since 1970, UTC."""

    run_id: str
    thread_id: str
    parent_run_id: str | None
    agent: str | None
    epoch: int
    status: str
    termination: Termination | None
    input_tokens: int
    output_tokens: int
    started_at: int
    updated_at: int
    first_version: int
    last_version: int
    executor: Executor | None
    """Who executes it, or did last."""

    control: int
    """Up to which version of its control stream it has taken in what is there."""


class QueuedRow(NamedTuple):
    """A run that waits for its turn on its thread."""

    run_id: str
    thread_id: str
    agent: str
    parent_run_id: str | None


def threads(connection: Connection) -> list[ThreadRow]:
    """Every thread that is no control stream, in the order in which they began."""
    return [
        ThreadRow(name, version, messages, loads(content)["at"], parent, owner, loads(labels or b"{}"))
        for name, version, messages, content, parent, owner, labels in connection.execute(_THREADS)
    ]


def runs(connection: Connection, where: str, values: tuple[str | None, ...]) -> list[RunRow]:
    """The runs for which a condition holds, in the order in which they began."""
    rows = connection.execute(_RUNS.format(where=where), values).fetchall()
    return [
        RunRow._make((*row[:6], _termination(row[6]), *row[7:13], _executor(row[13]), row[14]))
        for row in rows
    ]


def queued(connection: Connection, thread: str | None) -> list[QueuedRow]:
    """The runs that wait for their turn, in the order in which they came."""
    return list(map(QueuedRow._make, connection.execute(_QUEUED, (thread,)).fetchall()))


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
left join thread_facts on thread_facts.thread = key
where name not glob '{CONTROL}*'
order by key
"""

_RUNS = """
select id, name, parent, agent, epoch, status, termination, input_tokens, output_tokens,
  started_at, updated_at, first_version, last_version, executor, control
from run join thread on key = thread
where {where}
order by (select position from changeset where changeset.thread = run.thread and version = first_version)
"""

_QUEUED = """
select queued.run, queued.thread, queued.agent, queued.parent
from queued join changeset on changeset.thread = stream and version = 1
where (?1 is null or queued.thread = ?1) and not is_cancelled
  and not exists (select 1 from run where id = queued.run)
order by position
"""
