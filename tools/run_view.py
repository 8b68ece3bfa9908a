"""A run as the log has it now, read without a `Runtime`.

`Runtime` answers the same questions, but to open one needs write access to the file. Commands that only read
get their answers here.
"""

from pathlib import Path
from typing import NamedTuple

from ..engine.events import RunResult
from ..engine.runs import Liveness
from ..store.changeset import Executor, Termination, control_stream
from ..store.errors import NotFound
from ..store.listing import QueuedRow, RunRow
from ..store.log import Log
from .opening import is_text

ActiveRow = RunRow | QueuedRow
"""A run that has started, or that waits for its turn."""


class RunView(NamedTuple):
    """A run as the log has it now."""

    run_id: str
    thread_id: str
    agent: str | None
    status: str
    """`running`, `waiting` for a person, `queued` after other runs of its thread, or `done`."""

    termination: Termination | None = None
    executor: Executor | None = None
    """The runtime that executes it, or did last."""

    control: int = 0
    """The version of its control stream up to which the run has applied its commands."""

    first_version: int = 0
    last_version: int = 0

    @property
    def has_started(self) -> bool:
        """Whether it has a history. A queued run has none, nor has one that was cancelled in the queue."""
        return self.first_version > 0


def find_run(log: Log, run_id: str) -> RunView:
    """Return a run as the log has it now.

    Raises:
        NotFound: there is no such run.
    """
    if is_text(run_id):
        # Read the queue first: a run that starts in between is then found among the started ones.
        queued = {row.run_id: row for row in log.queued()}
        if row := log.run(run_id):
            return _started(row)
        if waiting := queued.get(run_id):
            return RunView(run_id, waiting.thread_id, waiting.agent, "queued")
        if log.head(control_stream(run_id)):
            return _cancelled_in_queue(log, run_id)
    raise NotFound(f"there is no run {run_id!r} in this log: `threadlog runs` lists them")


def _started(row: RunRow) -> RunView:
    return RunView(
        row.run_id,
        row.thread_id,
        row.agent,
        row.status,
        row.termination,
        row.executor,
        row.control,
        row.first_version,
        row.last_version,
    )


def _cancelled_in_queue(log: Log, run_id: str) -> RunView:
    first = next(log.read(control_stream(run_id)))
    start = first.entry.start if first.entry else None
    thread_id, agent = (start.thread_id, start.agent) if start else ("", None)
    termination = Termination(type="cancelled", detail="before its turn came")
    return RunView(run_id, thread_id, agent, "done", termination)


def active_runs(log: Log, thread: str | None = None) -> list[ActiveRow]:
    """Return the unfinished runs: the running and waiting ones, then the queued ones."""
    # Read the queue first, as in `find_run`.
    queued, started = log.queued(thread), log.open_runs(thread)
    known = {row.run_id for row in started}
    return [*started, *(row for row in queued if row.run_id not in known)]


def is_dead(db: str, executor: Executor | None) -> bool:
    """Whether the runtime that executed a run no longer exists: its process died or has closed it."""
    return executor is not None and not Liveness(Path(db)).is_alive(executor.id)


def status_json(run: RunRow | RunView) -> dict[str, object]:
    """Return a run's status, its termination and its executor as JSON."""
    return {
        "status": run.status,
        "termination": run.termination.model_dump(exclude_none=True) if run.termination else None,
        "executor": run.executor.model_dump() if run.executor else None,
    }


def result_json(result: RunResult) -> dict[str, object]:
    """Return the result of a run's latest epoch as JSON."""
    return {
        "run_id": result.run_id,
        "thread_id": result.thread_id,
        "status": result.status,
        "termination": result.termination.model_dump(exclude_none=True),
        "output": result.output,
        "usage": result.usage.model_dump(),
        "version": result.version,
    }
