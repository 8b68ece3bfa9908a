"""Decisions that arrive before their question. The state keeps them until a call asks or the run ends."""

from typing import Any

from pydantic import BaseModel

from ..store.patch import MISSING, find
from .reducer import Action, Reducer
from .tool_call import DecisionRecord

WAITING = "/__kernel/waiting_decisions"


class WaitingDecisions(BaseModel):
    """The decisions that wait for their question."""

    by_target: dict[str, DecisionRecord] = {}
    """Decisions by the call id or ticket that the person named."""


class KeepDecision(Action):
    """Keep a decision for a call that does not wait for one yet."""

    decision: DecisionRecord


class RemoveDecision(Action):
    """Remove a kept decision: its question has arrived, or the run ends and it is `unused`."""

    target: str
    unused: bool = False


def _reduce(slice: WaitingDecisions, action: KeepDecision | RemoveDecision) -> WaitingDecisions:
    if isinstance(action, KeepDecision):
        return WaitingDecisions(by_target=slice.by_target | {action.decision.target: action.decision})
    left = {target: record for target, record in slice.by_target.items() if target != action.target}
    return WaitingDecisions(by_target=left)


DECISION_REDUCER = Reducer(
    "decisions", WaitingDecisions, (KeepDecision, RemoveDecision), WAITING, "thread", _reduce, reserved=True
)


def kept_decisions(state: Any) -> list[DecisionRecord]:
    """Return the decisions that wait for their question, ordered by target."""
    found = find(state, WAITING)
    slice = WaitingDecisions() if found is MISSING else WaitingDecisions.model_validate(found)
    return [slice.by_target[target] for target in sorted(slice.by_target)]
