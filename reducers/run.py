"""The record of the current run in the state, at `/__run`. Pure.

    running -> waiting | done        waiting -> running | done        stopped, cancelled -> running

A new run replaces the record, and with it the scope of the previous run.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..store.changeset import Termination
from ..store.errors import ActionError
from ..store.patch import find
from .reducer import Action, Reducer

Status = Literal["running", "waiting", "done"]

_MOVES: dict[Status, frozenset[Status]] = {
    "running": frozenset({"running", "waiting", "done"}),
    "waiting": frozenset({"waiting", "running", "done"}),
    "done": frozenset({"done"}),
}


class RunState(BaseModel):
    """The current run of a thread. Other keys are the run's scope."""

    model_config = ConfigDict(extra="allow")

    id: str = ""
    status: Status = "done"
    done_reason: str | None = None
    control: int = 0
    """The version of the run's control stream up to which commands are applied."""


class StartRun(Action):
    """A run starts: the scope of the previous run is deleted."""

    run_id: str


class MoveRun(Action):
    """The run continues, waits, or is done."""

    run_id: str
    status: Status
    done_reason: str | None = None


class ApplyCommands(Action):
    """Commands of the run are applied, up to a version of its control stream."""

    through: int
    place: Literal["step", "end"]
    """Before a step or at the end of the run, so that a replay applies them at the same point."""


def _reduce(slice: RunState, action: StartRun | MoveRun | ApplyCommands) -> RunState:
    if isinstance(action, StartRun):
        return RunState(id=action.run_id, status="running")
    if isinstance(action, ApplyCommands):
        if action.through <= slice.control:
            raise ActionError(f"entry {action.through} of the run's control stream was applied before")
        return slice.model_copy(update={"control": action.through})
    moves = _MOVES[slice.status] | ({"running"} if was_stopped(slice.done_reason) else set())
    if action.run_id != slice.id or action.status not in moves:
        raise ActionError(
            f"run {action.run_id!r} cannot become {action.status!r}: "
            f"the thread's run is {slice.id!r} and {slice.status!r}"
        )
    return slice.model_copy(update={"status": action.status, "done_reason": action.done_reason})


RUN_REDUCER = Reducer("run", RunState, (StartRun, MoveRun, ApplyCommands), "", "run", _reduce, reserved=True)


def was_stopped(done_reason: str | None) -> bool:
    """Return whether a run was stopped or cancelled: then it may be resumed."""
    return done_reason is not None and done_reason.split(":")[0] in ("cancelled", "stopped")


def waits_for_process(termination: Termination | None) -> bool:
    """Return whether a waiting run waits for a process, because its own died, and not for a person."""
    return termination is not None and termination.code == "recovered"


def control_taken(state: Any, run_id: str) -> int:
    """Return the version of its control stream up to which a run has applied commands."""
    found = find(state, "/__run/control") if find(state, "/__run/id") == run_id else 0
    return found if isinstance(found, int) else 0


def done_reason(termination: Termination) -> str | None:
    """Return the word for an end in the run's record; None while the run only waits."""
    match termination.type:
        case "suspended":
            return None
        case "natural_end":
            return "natural"
        case "stopped":
            return f"stopped:{termination.code}"
        case other:
            return other


Way = Literal["stop", "ask", "resume"]


QUESTION = "recover_agent_run"
"""The action of recovery questions, and the name of the call that stands for the run itself."""


ENDS: dict[Way, Termination] = {
    "stop": Termination(
        type="stopped",
        code="orphaned",
        detail="its process died: no live process executes it",
    ),
    "ask": Termination(
        type="suspended",
        code="orphaned",
        detail="its process died: a person decides how it continues",
    ),
    "resume": Termination(
        type="suspended",
        code="recovered",
        detail="its process died: it resumes in its next epoch",
    ),
}


CANCELLED = ENDS["stop"].model_copy(update={"type": "cancelled"})
"""The end of an orphan that had been cancelled, instead of `stop`."""


NEVER_BEGAN = Termination(type="cancelled", detail="cancelled while it was queued")
"""The end of a queued run that was cancelled before it began."""
