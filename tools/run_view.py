"""The current status of a run, read without a `Runtime`.

`Runtime` answers the same questions, but opening one needs write access to the file.
"""

from pathlib import Path
from typing import NamedTuple

from ..engine.events import RunResult
from ..engine.runs import Liveness
from ..reducers.run import NEVER_BEGAN
from ..store.changeset import Executor, Termination
from ..store.errors import NotFound
from ..store.listing import QueuedRow, RunRow
from ..store.log import Log
from .opening import is_text

ActiveRow = RunRow | QueuedRow
"""A started run, or a queued one."""


class RunView(NamedTuple):
    """The current status of a run."""

    run_id: str
    thread_id: str
    agent: str | None
    status: str
    """`running`, `waiting` for a person, `queued` until earlier runs of its thread finish, or `done`."""

    termination: Termination | None = None
    executor: Executor | None = None
    """The runtime that executes the run, or was the last to do so."""

    control: int = 0
    """Version of the last command that the run has applied from its control stream."""

    first_version: int = 0
    last_version: int = 0

    @property
    def has_started(self) -> bool:
        """Whether the run is in the log. A queued run is not, nor is one that was cancelled in the queue."""
        return self.first_version > 0


def find_run(log: Log, run_id: str) -> RunView:
    """Return the current status of a run.

    Raises:
        NotFound: the log has no such run.
    """
    found = log.run_status(run_id) if is_text(run_id) else None
    if found is None:
        raise NotFound(f"this log has no run {run_id!r}: `threadlog runs` lists them")
    if found.run:
        return _started(found.run)
    if found.status == "queued":
        return RunView(run_id, found.thread_id or "", found.agent, "queued")
    return RunView(run_id, found.thread_id or "", found.agent, "done", NEVER_BEGAN)


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


def is_dead(db: str, executor: Executor | None) -> bool:
    """Return whether the runtime that executed a run is gone: its process died or closed it."""
    return executor is not None and not Liveness(Path(db)).is_alive(executor.id)


def status_json(run: RunRow | RunView) -> dict[str, object]:
    """Return the status, termination and executor of a run as JSON."""
    return {
        "status": run.status,
        "termination": run.termination.model_dump(exclude_none=True) if run.termination else None,
        "executor": run.executor.model_dump() if run.executor else None,
    }


def result_json(result: RunResult) -> dict[str, object]:
    """Return the result of an epoch as JSON."""
    return {
        "run_id": result.run_id,
        "thread_id": result.thread_id,
        "status": result.status,
        "termination": result.termination.model_dump(exclude_none=True),
        "output": result.output,
        "usage": result.usage.model_dump(),
        "version": result.version,
    }
