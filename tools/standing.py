"""Where one run of a log is now, and the lines to type that bring it on."""

import shlex
from pathlib import Path
from typing import NamedTuple

from ..engine.runs import Liveness
from ..store.changeset import Executor, Termination, control_stream
from ..store.errors import NotFound
from ..store.log import Log
from .opening import is_text

NEVER_BEGUN = Termination(type="cancelled", detail="before its turn came")


class Standing(NamedTuple):
    """A run as the log has it now."""

    run_id: str
    thread_id: str
    agent: str | None
    status: str
    """`running`, `waiting` for a person, `queued` behind other runs of its thread, or `done`."""

    termination: Termination | None = None
    executor: Executor | None = None
    """Who executes it, or did last."""

    control: int = 0
    """Up to which entry of its control stream it has taken in what is wanted of it."""

    first_version: int = 0
    last_version: int = 0

    @property
    def has_begun(self) -> bool:
        """Whether it has a history: not while it is queued, nor if it was cancelled before its turn came."""
        return self.first_version > 0


def standing(log: Log, run_id: str) -> Standing:
    """Where a run is.

    Raises:
        NotFound: there is no such run.
    """
    if is_text(run_id):
        # The queue first: a run that begins meanwhile is found behind it.
        queued = [row for row in log.queued() if row.run_id == run_id]
        if row := log.run(run_id):
            place = (row.control, row.first_version, row.last_version)
            return Standing(
                run_id, row.thread_id, row.agent, row.status, row.termination, row.executor, *place
            )
        if queued:
            return Standing(run_id, queued[0].thread_id, queued[0].agent, "queued")
        if wanted := next(log.read(control_stream(run_id)), None):
            start = wanted.entry.start if wanted.entry else None
            thread_id, agent = (start.thread_id, start.agent) if start else ("", None)
            return Standing(run_id, thread_id, agent, "done", NEVER_BEGUN)
    raise NotFound(f"there is no run {run_id!r} in this log: `threadlog runs` lists them")


def executed_by(executor: Executor | None) -> str:
    """Who executes a run, in words."""
    return f"process {executor.pid} on {executor.host}" if executor else "another process"


def is_gone(db: str, executor: Executor | None) -> bool:
    """Whether who executes a run is no more: its process died, or has left its runtime."""
    return executor is not None and not Liveness(Path(db)).is_alive(executor.id)


def recovering(db: str, run_id: str) -> str:
    """The line that closes a run whose process is gone."""
    return shlex.join(("threadlog", "recover", run_id, "--db", db))


def deciding(db: str, run_id: str, target: str) -> str:
    """The line that approves of a call; with --deny instead of --approve it refuses it."""
    return shlex.join(("threadlog", "decide", run_id, target, "--approve", "--db", db))


def going_on(db: str, thread_id: str) -> str:
    """The line that starts a process that goes on with a run that waits."""
    return f"threadlog run FILE.py:AGENT {shlex.join(('--thread', thread_id, '--db', db))}"


def asking(db: str, run_id: str) -> str:
    """The line that lists what a run asks."""
    return shlex.join(("threadlog", "pending", run_id, "--db", db))
