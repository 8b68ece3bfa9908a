"""The run's own record in the state: `/__run`, from its start to its end. Pure.

    running -> waiting | done        waiting -> running | done        done -> (nothing)

A new run replaces the record whole, and with it whatever the last run kept in its scope.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..store.changeset import Termination
from ..store.errors import ActionError
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


class RunStarted(Action):
    """A run begins: what the run before it kept is forgotten."""

    run_id: str


class RunMoved(Action):
    """The run goes on, waits, or is done."""

    run_id: str
    status: Status
    done_reason: str | None = None


def _reduce(slice: RunState, action: RunStarted | RunMoved) -> RunState:
    if isinstance(action, RunStarted):
        return RunState(id=action.run_id, status="running")
    if action.run_id != slice.id or action.status not in _MOVES[slice.status]:
        raise ActionError(
            f"run {action.run_id!r} cannot become {action.status!r}: "
            f"the thread's run is {slice.id!r} and {slice.status!r}"
        )
    return slice.model_copy(update={"status": action.status, "done_reason": action.done_reason})


RUN_REDUCER = Reducer("run", RunState, (RunStarted, RunMoved), "", "run", _reduce, reserved=True)


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
