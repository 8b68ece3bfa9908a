"""The record of a tool call in the state, from the model's request to the outcome. Pure.

    new       -> every status; resuming without a decision if the run resumes after a crash
    suspended -> resuming, cancelled
    resuming  -> suspended, succeeded, failed, cancelled

Providers reuse ids: a call whose id appears again after its end starts a new record. The questions to people
are computed from these records: see `pending_calls`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from ..store.errors import ActionError
from ..store.patch import MISSING, find
from .reducer import Action, Reducer
from .scope import TOOL_CALL_STATE, TOOL_CALLS, place

Status = Literal["new", "suspended", "resuming", "succeeded", "failed", "cancelled"]
ResumeMode = Literal[
    "replay_tool_call", "use_decision_as_tool_result", "pass_decision_to_tool", "recover_tool_call"
]
"""What happens to an approved call. Only threadlog uses `recover_tool_call`, for a call that may have run
before its process died: the result of the decision is the answer; without a result the call runs again."""

_ENDS: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})
_MOVES: dict[Status, frozenset[Status]] = {
    "new": frozenset({"new", "suspended", "resuming", *_ENDS}),
    "suspended": frozenset({"resuming", "cancelled"}),
    "resuming": frozenset({"suspended", *_ENDS}),
}


class Suspension(BaseModel):
    """A question to a person about a tool call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket: str
    """The id of the question, unique in the log. Call ids are not: providers choose them."""

    action: str
    """The kind of the question: `approve`, `tool:PermissionConfirm`, …"""

    message: str = ""
    """The question that the person reads."""

    parameters: JsonValue = None
    """The subject of the question."""

    response_schema: JsonValue = None
    """The JSON schema of the answer's result."""

    resume_mode: ResumeMode = "replay_tool_call"
    """How the call continues after approval."""


class DecisionRecord(BaseModel):
    """A person's decision about a tool call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """The id of the decision. A decision that is repeated with the same id counts once."""

    target: str
    """The id of the call, or the ticket of its suspension."""

    approved: bool
    result: JsonValue = None
    """The answer of the person, in addition to the approval."""

    reason: str | None = None
    """Why the call was denied."""

    by: str | None = None
    """Who decided."""


class ToolCallState(BaseModel):
    """The record of one tool call."""

    call_id: str = ""
    name: str = ""
    arguments: JsonValue = None
    status: Status = "new"
    suspension: Suspension | None = None
    """The question, if a person was asked."""

    decision: DecisionRecord | None = None
    """The answer, if the person has decided."""


class MoveToolCall(Action):
    """The model requests a call, or the call resumes or ends."""

    call_id: str
    name: str
    arguments: JsonValue
    status: Status


class SuspendToolCall(Action):
    """The call waits for a person's decision."""

    call_id: str
    name: str
    arguments: JsonValue
    suspension: Suspension


class DecideToolCall(Action):
    """A person has approved or denied the call."""

    call_id: str
    decision: DecisionRecord


def _move(slice: ToolCallState, action: MoveToolCall | SuspendToolCall | DecideToolCall) -> ToolCallState:
    match action:
        case MoveToolCall(status="new"):
            _check(slice, action.call_id, "new")
            return ToolCallState(**action.model_dump())
        case MoveToolCall():
            _check(slice, action.call_id, action.status)
            return slice.model_copy(update=action.model_dump())
        case SuspendToolCall():
            _check(slice, action.call_id, "suspended")
            changed = {"status": "suspended", "suspension": action.suspension, "decision": None}
            return slice.model_copy(update=changed)
        case DecideToolCall():
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


class ForgetToolCalls(Action):
    """A user message has arrived: forget the records of earlier calls."""


def _forget(slice: ToolCalls, action: ForgetToolCalls) -> ToolCalls:
    return ToolCalls()


TOOL_CALL_REDUCER = Reducer(
    "tool_call",
    ToolCallState,
    (MoveToolCall, SuspendToolCall, DecideToolCall),
    TOOL_CALL_STATE,
    "tool_call",
    _move,
    reserved=True,
)
TOOL_CALLS_REDUCER = Reducer(
    "tool_calls", ToolCalls, (ForgetToolCalls,), TOOL_CALLS, "thread", _forget, reserved=True
)


def calls(state: Any) -> list[ToolCallState]:
    """Return the records of all calls in a state, ordered by call id."""
    scopes = find(state, TOOL_CALLS)
    found = scopes if scopes is not MISSING and type(scopes) is dict else {}
    records = (find(found[call_id], TOOL_CALL_STATE) for call_id in sorted(found))
    return [ToolCallState.model_validate(record) for record in records if record is not MISSING]


def has_ended(state: Any, call_id: str) -> bool:
    """Return whether a call has its outcome."""
    return find(state, f"{place('tool_call', TOOL_CALL_STATE, call_id)}/status") in _ENDS


def waiting_calls(state: Any) -> list[ToolCallState]:
    """Return the calls that wait for a person, or are decided but have not resumed, ordered by call id."""
    return [call for call in calls(state) if call.status in ("suspended", "resuming")]


def pending_calls(state: Any) -> list[ToolCallState]:
    """Return the calls that wait for a person, ordered by call id."""
    return [call for call in calls(state) if call.status == "suspended"]
