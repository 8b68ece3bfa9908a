"""Calls after their decision: how each continues, with which key, and what it receives."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import approval_agent, scripted_agent
from support.approvals import AWAITING_APPROVAL, SECOND_ADD
from support.behaviors import PhaseBehavior, act_in
from support.checks import assert_replays
from support.log_reads import read_call_statuses, read_history, read_state, read_tool_results
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime, run_agent, run_and_decide
from support.tools import ERASE, add
from threadlog.engine import (
    Context,
    Decision,
    ModelRequest,
    Run,
    SetToolResult,
    Suspend,
    ToolCall,
    ToolContext,
    ToolResult,
    tool,
)
from threadlog.engine.agents.behavior import PhaseActions
from threadlog.engine.events.event import ToolProgress
from threadlog.reducers import Set, replay
from threadlog.reducers.tool_call import calls
from threadlog.store.changeset import Interruption, Termination

pytestmark = pytest.mark.anyio


async def asked_once(mode: Any, path: Path, result: Any) -> tuple[list[str], list[Any]]:
    """What the model was told, and how often the tool was called with what, when a person answered so."""
    called: list[Any] = []

    @tool
    def book(city: str) -> str:
        called.append(city)
        return f"booked {city}"

    def ask(context: Context) -> PhaseActions:
        first = context.phase == "before_tool_execute" and not context.decision
        return Suspend("approve", resume_mode=mode) if first else None

    planner = scripted_agent(
        ToolCall("book", {"city": "Nara"}, "c1"), tools=[book], behaviors=[PhaseBehavior(ask)]
    )
    await run_and_decide(path, planner, Decision.approve("c1", result))
    return read_tool_results(path), called


MODES: list[tuple[str, Any, str, list[str]]] = [
    ("replay_tool_call", None, "booked Nara", ["Nara"]),
    ("replay_tool_call", {"city": "Kyoto"}, "booked Nara", ["Nara"]),
    ("pass_decision_to_tool", {"city": "Kyoto"}, "booked Kyoto", ["Kyoto"]),
    ("pass_decision_to_tool", None, "booked Nara", ["Nara"]),
    ("pass_decision_to_tool", True, "booked Nara", ["Nara"]),
    ("use_decision_as_tool_result", {"city": "Kyoto"}, '{"city":"Kyoto"}', []),
    ("use_decision_as_tool_result", "by hand", "by hand", []),
    ("use_decision_as_tool_result", False, "false", []),
    ("use_decision_as_tool_result", None, "true", []),
]


@pytest.mark.parametrize(("mode", "result", "text", "cities"), MODES)
async def test_a_call_goes_on_as_its_mode_says(
    path: Path, mode: str, result: Any, text: str, cities: list[str]
) -> None:
    """Other systems call the tool with the decision as its arguments even where it is to be used as the
    result: here it *is* the result, as the name says, and the tool is not called."""
    assert await asked_once(mode, path, result) == ([text], cities)


async def test_arguments_from_a_person_are_checked_like_any_others(path: Path) -> None:
    text, called = await asked_once("pass_decision_to_tool", path, {"town": "Kyoto"})

    assert called == []
    assert text[0].startswith('{"error":"Invalid arguments: ')


async def test_a_tool_may_suspend_itself_and_is_told_the_decision(path: Path) -> None:
    seen: list[Any] = []

    async def pay(context: ToolContext) -> ToolResult:
        seen.append((context.idempotency_key.split(":", 1)[1], context.decision and context.decision.result))
        asks = Suspend("pay", "Really?", {"amount": 5}) if context.decision is None else None
        return ToolResult("paid", [Set("/paid", True)], suspend=asks)

    planner = scripted_agent(ToolCall("pay", id="c1"), tools=[pay])
    await run_and_decide(path, planner, Decision.approve("c1", "yes"))

    assert seen == [("0:c1", None), ("0:c1", "yes")]
    assert (read_tool_results(path), read_state(path)) == (["paid"], {"paid": True})


@pytest.mark.parametrize(
    ("asked", "action", "parameters"),
    [
        (Suspend(), "tool:pay", {"amount": 7}),
        (Suspend("confirm", parameters={"sum": 7}), "confirm", {"sum": 7}),
        (Suspend("confirm", parameters=date(2026, 11, 20)), "confirm", "2026-11-20"),
    ],
)
async def test_what_a_question_does_not_say_comes_from_the_call(
    path: Path, asked: Suspend, action: str, parameters: Any
) -> None:
    form = {"type": "object", "properties": {"pin": {"type": "string"}}}

    def pay(context: ToolContext, amount: int) -> ToolResult:
        asks = replace(asked, message="Really?", response_schema=form) if context.decision is None else None
        return ToolResult("paid", suspend=asks)

    planner = scripted_agent(ToolCall("pay", {"amount": 7}, "c1"), tools=[pay])
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        (call,) = runtime.pending(first.run_id)
    assert call.suspension
    assert (call.suspension.action, call.suspension.parameters) == (action, parameters)
    assert (call.suspension.message, call.suspension.response_schema) == ("Really?", form)
    await assert_replays(path, planner)


async def test_a_tool_may_answer_in_the_words_for_a_call_that_waits(path: Path) -> None:
    """that a call waits is known from its record, so an answer in these words is an answer"""
    requests: list[ModelRequest] = []

    def quote() -> str:
        return AWAITING_APPROVAL

    await run_agent(
        path, scripted_agent(ToolCall("quote", id="c1"), recorded_turn(requests, "done"), tools=[quote])
    )

    assert request_messages(requests[0])[-1] == ("tool", AWAITING_APPROVAL)
    assert read_tool_results(path) == [AWAITING_APPROVAL]


async def test_a_call_keeps_its_key_when_the_model_has_answered_in_between(path: Path) -> None:
    keys: list[str] = []

    async def pay(context: ToolContext) -> ToolResult:
        keys.append(context.idempotency_key)
        return ToolResult("paid", suspend=Suspend("pay") if context.decision is None else None)

    planner = scripted_agent([ToolCall("pay", id="c1"), SECOND_ADD], "waiting", "paid", tools=[pay, add])
    await run_and_decide(path, planner, Decision.approve("c1"))

    assert keys[0] == keys[1]


async def test_a_call_may_be_suspended_again_with_a_new_ticket(path: Path) -> None:
    planner = scripted_agent(
        ToolCall("add", {"a": 1, "b": 1}, "c1"), behaviors=[act_in("before_tool_execute", Suspend("x"))]
    )
    first = await run_agent(path, planner)
    async with open_runtime(path, planner) as runtime:
        (before,) = runtime.pending(first.run_id)
        again = await runtime.decide(first.run_id, [Decision.approve("c1")])
        assert again
        result = await again.result()
        (after,) = runtime.pending(first.run_id)

    assert before.suspension
    assert after.suspension
    assert (result.status, after.decision, read_tool_results(path)) == ("waiting", None, [])
    assert before.suspension.ticket != after.suspension.ticket


async def test_a_behavior_may_answer_a_decided_call_itself(path: Path) -> None:
    def answer(context: Context) -> PhaseActions:
        return SetToolResult(f"by {context.decision.by}") if context.decision else None

    planner = approval_agent(ERASE, behaviors=[PhaseBehavior(answer)])
    await run_and_decide(path, planner, Decision.approve("c1", by="ann"))

    assert read_tool_results(path) == ["by ann"]


async def test_a_call_that_has_ended_still_says_what_was_asked_and_answered(path: Path) -> None:
    await run_and_decide(path, approval_agent(ERASE), Decision.approve("c1", by="ann"))

    (call,) = calls(replay(read_history(path)).state)
    assert call.suspension
    assert call.decision
    assert (call.status, call.suspension.message, call.decision.by) == ("succeeded", "Call erase?", "ann")


async def test_a_tool_that_goes_on_tells_its_progress_and_can_be_cancelled(path: Path) -> None:
    """a call is the same call, whether a person was asked before or not"""
    started = anyio.Event()

    @tool(needs_approval=True)
    async def wait(context: ToolContext) -> None:
        context.progress("half")
        started.set()
        await anyio.sleep_forever()

    planner = scripted_agent(ToolCall("wait", id="c1"), tools=[wait])
    first = await run_agent(path, planner)
    progress: list[Any] = []

    async def listen(run: Run) -> None:
        progress.extend([event.progress async for event in run if isinstance(event, ToolProgress)])

    async with open_runtime(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c1")])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, resumed)
            await started.wait()
            assert await runtime.cancel(first.run_id)
        result = await resumed.result()

    assert (result.termination, progress) == (
        Termination(type="cancelled", interrupted=Interruption(kind="tools")),
        ["half"],
    )
    assert read_call_statuses(path) == {"c1": "cancelled"}
    await assert_replays(path, planner)
