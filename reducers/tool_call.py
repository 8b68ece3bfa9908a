"""The record of a tool call in the state, from the model's wish to its outcome. Pure.

    new       -> any; resuming without a decision: it is made when the run goes on after a crash
    running   -> suspended, succeeded, failed, cancelled
    suspended -> resuming, cancelled
    resuming  -> running, suspended, succeeded, failed, cancelled

A call whose id comes again after its end (providers reuse ids) begins anew. What waits for a person is
a fold of these records: `pending`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from ..store.errors import ActionError
from ..store.patch import MISSING, find
from .reducer import Action, Reducer
from .scope import TOOL_CALL_STATE, TOOL_CALLS

Status = Literal["new", "running", "suspended", "resuming", "succeeded", "failed", "cancelled"]
ResumeMode = Literal[
    "replay_tool_call", "use_decision_as_tool_result", "pass_decision_to_tool", "recover_tool_call"
]
"""What becomes of an approved call. `recover_tool_call` is threadlog's own, for a call that was perhaps
made when its process died: with a result it was, and that is its answer; without one it is made again."""

_ENDS: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})
_MOVES: dict[Status, frozenset[Status]] = {
    "new": frozenset({"new", "running", "suspended", "resuming", *_ENDS}),
    "running": frozenset({"suspended", *_ENDS}),
    "suspended": frozenset({"resuming", "cancelled"}),
    "resuming": frozenset({"running", "suspended", *_ENDS}),
}


class Suspension(BaseModel):
    """A question to a person about a tool call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket: str
    """Unique in the log, whatever ids the provider gives its calls."""

    action: str
    """What is asked for: `approve`, `tool:PermissionConfirm`, …"""

    message: str = ""
    """What the person reads."""

    parameters: JsonValue = None
    """What the question is about."""

    response_schema: JsonValue = None
    """Of which form the answer's result is to be, as JSON schema."""

    resume_mode: ResumeMode = "replay_tool_call"
    """How the call goes on when it is approved."""


class DecisionRecord(BaseModel):
    """A person's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """The same answer has the same id; it counts once."""

    target: str
    """The call's id, or the ticket of its suspension."""

    approved: bool
    result: JsonValue = None
    """What the person answered, apart from yes or no."""

    reason: str | None = None
    """Why not."""

    by: str | None = None
    """Who answered."""


class ToolCallState(BaseModel):
    """One tool call."""

    call_id: str = ""
    name: str = ""
    arguments: JsonValue = None
    status: Status = "new"
    suspension: Suspension | None = None
    """The question, once there was one."""

    decision: DecisionRecord | None = None
    """The answer, once it was given."""


class ToolCallMoved(Action):
    """The model wants a call, it starts, or it ends."""

    call_id: str
    name: str
    arguments: JsonValue
    status: Status


class ToolCallSuspended(Action):
    """A person must decide about the call."""

    call_id: str
    name: str
    arguments: JsonValue
    suspension: Suspension


class ToolCallDecided(Action):
    """A person has decided: the call goes on, or is denied."""

    call_id: str
    decision: DecisionRecord


def _move(slice: ToolCallState, action: ToolCallMoved | ToolCallSuspended | ToolCallDecided) -> ToolCallState:
    match action:
        case ToolCallMoved(status="new"):
            _check(slice, action.call_id, "new")
            return ToolCallState(**action.model_dump())
        case ToolCallMoved():
            _check(slice, action.call_id, action.status)
            return slice.model_copy(update=action.model_dump())
        case ToolCallSuspended():
            _check(slice, action.call_id, "suspended")
            changed = {"status": "suspended", "suspension": action.suspension, "decision": None}
            return slice.model_copy(update=changed)
        case ToolCallDecided():
            _check(slice, action.call_id, "resuming")
            return slice.model_copy(update={"status": "resuming", "decision": action.decision})


def _check(slice: ToolCallState, call_id: str, status: Status) -> None:
    known = slice.call_id in ("", call_id)
    if (
        not known
        or (slice.status in _ENDS and status != "new")
        or status not in _MOVES.get(slice.status, {"new"})
    ):
        raise ActionError(f"invalid tool call status transition for {call_id!r}: {slice.status} -> {status}")


class ToolCalls(BaseModel):
    """The records of all calls, by call id."""

    model_config = ConfigDict(extra="allow")


class ToolCallsForgotten(Action):
    """The user has spoken: what earlier calls kept is no longer of use."""


def _forget(slice: ToolCalls, action: ToolCallsForgotten) -> ToolCalls:
    return ToolCalls()


TOOL_CALL_REDUCER = Reducer(
    "tool_call",
    ToolCallState,
    (ToolCallMoved, ToolCallSuspended, ToolCallDecided),
    TOOL_CALL_STATE,
    "tool_call",
    _move,
    reserved=True,
)
TOOL_CALLS_REDUCER = Reducer(
    "tool_calls", ToolCalls, (ToolCallsForgotten,), TOOL_CALLS, "thread", _forget, reserved=True
)


def calls(state: Any) -> list[ToolCallState]:
    """The records of all calls in a state, by call id."""
    scopes = find(state, TOOL_CALLS)
    found = scopes if scopes is not MISSING and type(scopes) is dict else {}
    records = (find(found[call_id], TOOL_CALL_STATE) for call_id in sorted(found))
    return [ToolCallState.model_validate(record) for record in records if record is not MISSING]


def waiting(state: Any) -> list[ToolCallState]:
    """The calls that wait for a person, or that are decided and wait for others, by call id."""
    return [call for call in calls(state) if call.status in ("suspended", "resuming")]


def pending(state: Any) -> list[ToolCallState]:
    """The calls that wait for a person, by call id."""
    return [call for call in calls(state) if call.status == "suspended"]
