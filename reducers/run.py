"""The run's own record in the state: `/__run`, from its start to its end. Pure.

    running -> waiting | done        waiting -> running | done        stopped, cancelled -> running

A new run replaces the record whole, and with it whatever the last run kept in its scope.
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
    """Up to which version of the run's control stream it has taken in what is there."""


class StartRun(Action):
    """A run begins: what the run before it kept is forgotten."""

    run_id: str


class MoveRun(Action):
    """The run goes on, waits, or is done."""

    run_id: str
    status: Status
    done_reason: str | None = None


class ApplyCommands(Action):
    """What was wanted of the run is taken in, up to a version of its control stream."""

    through: int
    place: Literal["step", "end"]
    """Before a step or at the end of the run: exactly there, when it is executed again."""


def _reduce(slice: RunState, action: StartRun | MoveRun | ApplyCommands) -> RunState:
    if isinstance(action, StartRun):
        return RunState(id=action.run_id, status="running")
    if isinstance(action, ApplyCommands):
        if action.through <= slice.control:
            raise ActionError(f"entry {action.through} of the run's control stream was taken in before")
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
    """Whether a run is over because somebody or something stopped it: then it may go on."""
    return done_reason is not None and done_reason.split(":")[0] in ("cancelled", "stopped")


def goes_on_by_itself(termination: Termination | None) -> bool:
    """Whether a run that waits does so for a process, not for a person: its own died."""
    return termination is not None and termination.code == "recovered"


def control_taken(state: Any, run_id: str) -> int:
    """Up to which version of its control stream a run has taken in what is there."""
    found = find(state, "/__run/control") if find(state, "/__run/id") == run_id else 0
    return found if isinstance(found, int) else 0


def done_reason(termination: Termination) -> str | None:
    """The word that the record keeps of an end; none while the run only waits."""
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
"""The action of the questions, and the name of the call that stands for the run itself."""


ENDS: dict[Way, Termination] = {
    "stop": Termination(
        type="stopped",
        code="orphaned",
        detail="No live executor found in current process; marked stopped",
    ),
    "ask": Termination(
        type="suspended",
        code="orphaned",
        detail="No live executor found in current process; a person decides how it goes on",
    ),
    "resume": Termination(
        type="suspended",
        code="recovered",
        detail="No live executor found in current process; goes on in its next epoch",
    ),
}


CANCELLED = ENDS["stop"].model_copy(update={"type": "cancelled"})
"""In the place of `stop`, where somebody had cancelled it."""


NEVER_BEGAN = Termination(type="cancelled", detail="before its turn came")
"""The end of a queued run that was cancelled before it began."""
