"""A run executed again by a changed agent: the first difference says where and what changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.behaviors import PhaseBehavior, act_in
from support.recordings import find_divergence, recorded_agent
from support.tools import fail, spend
from threadlog.engine import AddContextMessage, Block, RetryPolicy, State, Terminate
from threadlog.engine.agents.stop_policy import StopOnTool
from threadlog.reducers import Set

pytestmark = pytest.mark.anyio


def asks(number: int, action: Any) -> list[Any]:
    return [
        PhaseBehavior(
            lambda context: action if context.phase == "step_start" and context.step == number else None
        )
    ]


@dataclass(frozen=True)
class Found:
    """Where a change is found, and what was there."""

    then: dict[str, Any]
    today: dict[str, Any]
    version: int
    pointer: str
    logged: Any
    now: Any


def described(a: int, b: int) -> int:
    """Add two numbers, quickly."""
    return a + b


described.__name__ = "add"


SPECIFICATION = "/agent/specification"
CHANGES = {
    "instructions": Found(
        {"instructions": "Be kind."},
        {"instructions": "Be brief."},
        1,
        f"{SPECIFICATION}/instructions",
        "Be kind.",
        "Be brief.",
    ),
    "tool schema": Found(
        {},
        {"tools": [described, fail, spend]},
        1,
        f"{SPECIFICATION}/tools/0/description",
        "Add two numbers.",
        "Add two numbers, quickly.",
    ),
    "stop policy": Found(
        {},
        {"stop_when": [StopOnTool("never")]},
        1,
        f"{SPECIFICATION}/stop_when/1",
        None,
        "StopOnTool(tool_name='never')",
    ),
    "rounds": Found(
        {},
        {"max_rounds": 5},
        1,
        f"{SPECIFICATION}/stop_when/0",
        "MaxRounds(rounds=10)",
        "MaxRounds(rounds=5)",
    ),
    "execution": Found(
        {},
        {"tool_execution": "sequential"},
        1,
        "/agent/tool_execution",
        "parallel",
        "sequential",
    ),
    "settings": Found({}, {"settings": {"top_p": 1}}, 1, f"{SPECIFICATION}/settings/top_p", None, 1),
    "retry": Found({}, {"retry": RetryPolicy(attempts=3)}, 1, f"{SPECIFICATION}/retry/attempts", 2, 3),
    "behavior": Found(
        {"behaviors": asks(0, State(Set("/a", 1)))},
        {"behaviors": asks(0, State(Set("/a", 2)))},
        2,
        "/actions/0/payload/value",
        1,
        2,
    ),
    "context": Found(
        {"behaviors": [act_in("before_inference")]},
        {"behaviors": [act_in("before_inference", AddContextMessage("k", "new"))]},
        2,
        "/inference/request_digest",
        ...,
        ...,
    ),
    "no block": Found(
        {"behaviors": [act_in("before_tool_execute", Block("no"))]},
        {"behaviors": [act_in("before_tool_execute")]},
        3,
        "/reason",
        "tool_results",
        "a call to 'add'",
    ),
    "end": Found(
        {"behaviors": [act_in("before_inference")]},
        {"behaviors": [act_in("before_inference", Terminate())]},
        2,
        "/reason",
        "assistant_turn",
        "run_finished",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_changed_agent_is_reported_where_it_first_differs(path: Path, name: str) -> None:
    """The version, the pointer, the logged value and today's value."""
    change = CHANGES[name]

    found = await find_divergence(path, recorded_agent(**change.then), recorded_agent(**change.today))

    assert (found.thread_id, found.version, found.pointer) == ("t1", change.version, change.pointer)
    assert change.logged is ... or (found.logged, found.now) == (change.logged, change.now)
    assert f"version {change.version}: at '{change.pointer}' the log has" in str(found)
