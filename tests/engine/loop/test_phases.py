"""The phases of a run, and the context that a behavior receives in each."""

from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior, act_in
from support.log_reads import read_history
from support.runtimes import run_agent
from support.tools import ADD_AND_FAIL
from threadlog.engine import Context, ToolCall
from threadlog.reducers import Set

pytestmark = pytest.mark.anyio
STEP = ["step_start", "before_inference", "after_inference", "step_end"]


async def contexts(path: Path, *turns: Any, **fields: Any) -> list[Context]:
    """What a behavior is given, in order, when the model answers with these turns."""
    seen: list[Context] = []
    await run_agent(path, scripted_agent(*turns, behaviors=[PhaseBehavior(seen.append)], **fields))
    return seen


async def test_the_phases_of_a_plain_answer(path: Path) -> None:
    seen = await contexts(path, "hello")

    assert [context.phase for context in seen] == ["run_start", *STEP, "run_end"]


ROUNDS = [
    ("sequential", ["before_tool_execute", "after_tool_execute"] * 2),
    ("parallel", ["before_tool_execute"] * 2 + ["after_tool_execute"] * 2),
]


@pytest.mark.parametrize(("execution", "tools"), ROUNDS)
async def test_the_phases_of_two_tool_calls_and_an_answer(
    path: Path, execution: str, tools: list[str]
) -> None:
    seen = await contexts(path, ADD_AND_FAIL, "hello", tool_execution=execution)

    assert [context.phase for context in seen] == [
        "run_start",
        *STEP,
        *tools,
        *STEP,
        "run_end",
    ]


async def test_a_context_has_what_its_phase_is_about(path: Path) -> None:
    seen = await contexts(path, ADD_AND_FAIL[:1], "hello")

    about = [
        (context.step, bool(context.turn), context.call and context.call.id, bool(context.outcome))
        for context in seen
    ]
    assert about == [
        (0, False, None, False),
        (0, False, None, False),
        (0, False, None, False),
        (0, True, None, False),
        (0, True, None, False),
        (0, False, "c1", False),
        (0, False, "c1", True),
        (1, False, None, False),
        (1, False, None, False),
        (1, True, None, False),
        (1, True, None, False),
        (2, False, None, False),
    ]


async def test_a_message_is_in_the_conversation_from_the_end_of_its_step_on(path: Path) -> None:
    """after_inference sees the answer, but not yet as a message: step_end does"""
    seen = await contexts(path, ADD_AND_FAIL[:1], "hello")

    assert [len(context.messages) for context in seen] == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4]


async def test_nothing_can_be_changed_through_a_context(path: Path) -> None:
    def spoil(context: Context) -> None:
        for call in (context.call, *(context.turn.tool_calls if context.turn else ())):
            if call and isinstance(call.arguments, dict):
                call.arguments["text"] = "spoilt"
        if context.outcome and isinstance(context.outcome.result, dict):
            context.outcome.result["error"] = "spoilt"
        context.read("/list", []).append("spoilt")

    first = act_in("run_start", Set("/list", ["a"]), name="first")
    result = await run_agent(
        path, scripted_agent(ToolCall("fail", {"text": "no luck"}), behaviors=[first, PhaseBehavior(spoil)])
    )

    assert result.termination.type == "natural_end"
    assert "spoilt" not in str(read_history(path))


async def test_a_tool_does_not_change_the_conversation_through_its_arguments(path: Path) -> None:
    def spoil(given: dict[str, Any]) -> None:
        given["list"].append("spoilt")

    result = await run_agent(path, scripted_agent(ToolCall("spoil", {"given": {"list": []}}), tools=[spoil]))

    assert result.termination.type == "natural_end"
    assert "spoilt" not in str(read_history(path))
