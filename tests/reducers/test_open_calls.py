"""What became of a call that was decided when its process died, from the state alone."""

from typing import Any

import pytest

from threadlog.reducers import Reducers
from threadlog.reducers.open_calls import lost_calls
from threadlog.reducers.tool_call import (
    DecideToolCall,
    DecisionRecord,
    MoveToolCall,
    ResumeMode,
    SuspendToolCall,
    Suspension,
)

CASES: list[tuple[ResumeMode, bool, Any, str]] = [
    ("replay_tool_call", True, None, "unknown"),
    ("replay_tool_call", False, None, "not_started"),
    ("pass_decision_to_tool", True, {"a": 1}, "unknown"),
    ("use_decision_as_tool_result", True, None, "not_started"),
    ("recover_tool_call", True, None, "unknown"),
    ("recover_tool_call", True, "paid", "not_started"),
]


@pytest.mark.parametrize(("mode", "approved", "result", "fate"), CASES)
def test_a_call_that_a_person_has_answered_was_not_started(
    mode: ResumeMode, approved: bool, result: Any, fate: str
) -> None:
    reducers = Reducers()
    call: dict[str, Any] = {"call_id": "c1", "name": "pay", "arguments": None}
    suspension = Suspension(ticket="t", action="approve", resume_mode=mode)
    decision = DecisionRecord(id="d1", target="c1", approved=approved, result=result)
    actions = [
        MoveToolCall(**call, status="new"),
        SuspendToolCall(**call, suspension=suspension),
        DecideToolCall(call_id="c1", decision=decision),
    ]
    records = [reducers.record(action, source="agent_loop", call_id="c1") for action in actions]

    (lost,) = lost_calls(reducers.reduce({}, records).state, [], "r1", None)

    assert lost.fate == fate
