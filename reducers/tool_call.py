"""The record of a tool call in the state, from the model's wish to its outcome. Pure.

    new -> succeeded | failed

A call whose id comes again after its end (providers reuse them) begins anew.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from ..store.errors import ActionError
from .reducer import Action, Reducer
from .scope import TOOL_CALL_STATE, TOOL_CALLS

Status = Literal["new", "succeeded", "failed"]

_MOVES: dict[Status, frozenset[Status]] = {
    "new": frozenset({"new", "succeeded", "failed"}),
    "succeeded": frozenset({"new"}),
    "failed": frozenset({"new"}),
}


class ToolCallState(BaseModel):
    """One tool call."""

    call_id: str = ""
    name: str = ""
    arguments: JsonValue = None
    status: Status = "new"


class ToolCallMoved(Action):
    """The model wants a call, or it has ended."""

    call_id: str
    name: str
    arguments: JsonValue
    status: Status


def _move(slice: ToolCallState, action: ToolCallMoved) -> ToolCallState:
    if action.status not in _MOVES[slice.status]:
        raise ActionError(
            f"invalid tool call status transition for {action.call_id!r}: {slice.status} -> {action.status}"
        )
    return ToolCallState(**action.model_dump())


class ToolCalls(BaseModel):
    """The records of all calls, by call id."""

    model_config = ConfigDict(extra="allow")


class ToolCallsForgotten(Action):
    """The user has spoken: what earlier calls kept is no longer of use."""


def _forget(slice: ToolCalls, action: ToolCallsForgotten) -> ToolCalls:
    return ToolCalls()


TOOL_CALL_REDUCER = Reducer(
    "tool_call", ToolCallState, (ToolCallMoved,), TOOL_CALL_STATE, "tool_call", _move, reserved=True
)
TOOL_CALLS_REDUCER = Reducer(
    "tool_calls", ToolCalls, (ToolCallsForgotten,), TOOL_CALLS, "thread", _forget, reserved=True
)
