"""The open tool calls of a run whose process died, from its log alone. Pure.

A turn is logged before its tools start, and each result when it arrives. So a call is *done*, with its result
in the log; or *not started*, if the loop cannot have reached it; or *unknown*:

    the interrupted round      decided calls if any could run, else the new calls of the last turn
      sequential               its first open call is unknown, the calls after it were not started
      parallel                 all of them are unknown
    answered by a decision     not started: denied, or answered with the person's result
    suspended                  not started
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from ..store.changeset import AgentSnapshot, LostCall, Message
from .tool_call import DecisionRecord, ResumeMode, ToolCallState, calls, pending_calls

Fate = Literal["not_started", "unknown"]

RESULT_TEXTS: dict[Fate, str] = {
    "not_started": "[This call did not start: the process died first. It had no effect.]",
    "unknown": "[The process died during this call. It may or may not have taken effect. "
    "Check before you call it again.]",
}
"""The tool messages that close calls without a result."""


def open_calls(state: Any) -> list[ToolCallState]:
    """Return the calls without an outcome, by call id."""
    return [call for call in calls(state) if call.status in ("new", "suspended", "resuming")]


def in_call_order(calls: Iterable[ToolCallState], messages: Iterable[Message]) -> list[ToolCallState]:
    """Return calls in the order in which the model made them."""
    asked = [call.id for message in messages for call in message.tool_calls]
    places = {call_id: place for place, call_id in enumerate(asked)}
    return sorted(calls, key=lambda call: places.get(call.call_id, -1))


def going_on(
    state: Any, messages: Sequence[Message], run_id: str, agent: AgentSnapshot | None
) -> list[ToolCallState]:
    """Return the open calls of the interrupted round, in the order of their execution."""
    resuming = [call for call in calls(state) if call.status == "resuming"]
    execution = agent.tool_execution if agent else None
    is_held_back = execution == "parallel_batch_approval" and pending_calls(state)
    if resuming and not is_held_back:
        return in_call_order(resuming, messages)
    by_id = {call.call_id: call for call in open_calls(state)}
    turn = next((m for m in reversed(messages) if m.role == "assistant" and m.run_id == run_id), None)
    found = [by_id[call.id] for call in turn.tool_calls if call.id in by_id] if turn else []
    if execution == "sequential" and any(call.status == "suspended" for call in found):
        # The round has ended there.
        return []
    return [call for call in found if call.status == "new"]


def lost_calls(
    state: Any, messages: Sequence[Message], run_id: str, agent: AgentSnapshot | None
) -> list[LostCall]:
    """Yield what became of each open call of a run, in call order."""
    begun = going_on(state, messages, run_id, agent)
    if agent and agent.tool_execution == "sequential":
        begun = begun[:1]
    unknown = {call.call_id for call in begun if not _is_answered(call)}
    return [
        LostCall(
            call_id=call.call_id,
            name=call.name,
            fate="unknown" if call.call_id in unknown else "not_started",
        )
        for call in in_call_order(open_calls(state), messages)
    ]


def is_answer(decision: DecisionRecord, mode: ResumeMode | None) -> bool:
    """Return whether an approval is itself the result of the call, so that the tool is not executed."""
    was_made = mode == "recover_tool_call" and decision.result is not None
    return was_made or mode == "use_decision_as_tool_result"


def _is_answered(call: ToolCallState) -> bool:
    """Return whether the decision replaces the result of the tool."""
    if not call.decision:
        return False
    mode = call.suspension.resume_mode if call.suspension else None
    return not call.decision.approved or is_answer(call.decision, mode)
