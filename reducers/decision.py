"""Decisions that came before their question: kept in the state until a call asks, or the run ends. Pure."""

from typing import Any

from pydantic import BaseModel

from ..store.patch import MISSING, find
from .reducer import Action, Reducer
from .tool_call import DecisionRecord

WAITING = "/__kernel/waiting_decisions"


class WaitingDecisions(BaseModel):
    """By target: the call id or ticket that the person named."""

    by_target: dict[str, DecisionRecord] = {}


class DecisionKept(Action):
    """A decision has come for a call that does not wait for one, yet."""

    decision: DecisionRecord


class DecisionTaken(Action):
    """A kept decision is of use now; or the run ends, and it was not."""

    target: str
    unused: bool = False


def _reduce(slice: WaitingDecisions, action: DecisionKept | DecisionTaken) -> WaitingDecisions:
    if isinstance(action, DecisionKept):
        return WaitingDecisions(by_target=slice.by_target | {action.decision.target: action.decision})
    left = {target: record for target, record in slice.by_target.items() if target != action.target}
    return WaitingDecisions(by_target=left)


DECISION_REDUCER = Reducer(
    "decisions", WaitingDecisions, (DecisionKept, DecisionTaken), WAITING, "thread", _reduce, reserved=True
)


def kept(state: Any) -> list[DecisionRecord]:
    """The decisions that wait for their question, by target."""
    found = find(state, WAITING)
    slice = WaitingDecisions() if found is MISSING else WaitingDecisions.model_validate(found)
    return [slice.by_target[target] for target in sorted(slice.by_target)]
