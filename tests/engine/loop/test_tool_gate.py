"""What becomes of a tool call before its tool is called, and what the tool is given."""

from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior, act_in
from support.effects import CountingEffects
from support.log_reads import read_call_statuses, read_history, read_tool_results
from support.runtimes import run_agent, run_and_decide
from support.tools import erase
from threadlog.engine import (
    AddMessage,
    Block,
    Context,
    Decision,
    SetToolResult,
    State,
    Suspend,
    ToolCall,
    ToolContext,
    ToolError,
    ToolResult,
    tool,
)
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Set, replay
from threadlog.store import Log
from threadlog.store.document import dumps

pytestmark = pytest.mark.anyio

CALL = ToolCall("add", {"a": 1, "b": 2}, "c1")
WRONG = ToolCall("add", {"a": "x"}, "c1")
NOWHERE = ToolCall("nowhere", {}, "c1")


BLOCKED = '{"error":"no"}'
NOT_FOUND = '{"error":"Tool \'nowhere\' not found"}'
INVALID = '{"error":"Invalid arguments: a: Input should be a valid integer'
GATES: list[tuple[ToolCall, list[Any], str, str]] = [
    (CALL, [], "3", "succeeded"),
    (CALL, [Block("no")], BLOCKED, "failed"),
    (CALL, [Block()], '{"error":"Blocked by a behavior"}', "failed"),
    (CALL, [SetToolResult([5])], "[5]", "succeeded"),
    (CALL, [Block("no"), SetToolResult(5)], BLOCKED, "failed"),
    (CALL, [SetToolResult(5), Block("no")], BLOCKED, "failed"),
    (CALL, [SetToolResult(5), SetToolResult(6)], "6", "succeeded"),
    (CALL, [SetToolResult(5), Suspend("approve")], "5", "succeeded"),
    (CALL, [Suspend("approve"), Block("no")], BLOCKED, "failed"),
    (NOWHERE, [], NOT_FOUND, "failed"),
    (NOWHERE, [Block("no")], BLOCKED, "failed"),
    (NOWHERE, [SetToolResult(5)], "5", "succeeded"),
    (NOWHERE, [Suspend("approve")], NOT_FOUND, "failed"),
    (WRONG, [], INVALID, "failed"),
    (WRONG, [SetToolResult(5)], "5", "succeeded"),
    (WRONG, [Suspend("approve")], INVALID, "failed"),
]


@pytest.mark.parametrize(("call", "actions", "text", "status"), GATES)
async def test_the_first_gate_that_holds_says_what_becomes_of_a_call(
    path: Path, call: ToolCall, actions: list[Any], text: str, status: str
) -> None:
    """blocked, answered, no such tool, arguments that do not fit, suspended, called

    A result that a behavior sets is a success, whatever it says: a behavior that wants a call to fail blocks
    it. A question cannot be without a ticket: the round makes it.
    """
    gate = act_in("before_tool_execute", *actions)

    result = await run_agent(path, scripted_agent(call, "hello", behaviors=[gate]))

    assert read_tool_results(path)[0].startswith(text)
    assert (result.output, read_call_statuses(path)) == ("hello", {"c1": status})


@pytest.mark.parametrize("actions", [[Suspend("approve")], [Block("no"), Suspend("approve")]])
async def test_of_block_and_suspend_the_last_counts(path: Path, actions: list[Any]) -> None:
    result = await run_agent(path, scripted_agent(CALL, behaviors=[act_in("before_tool_execute", *actions)]))

    assert (result.status, read_tool_results(path), read_call_statuses(path)) == (
        "waiting",
        [],
        {"c1": "suspended"},
    )


async def test_what_a_gate_answers_is_marked_as_not_called(path: Path) -> None:
    await run_agent(path, scripted_agent([CALL, NOWHERE.model_copy(update={"id": "c2"})]))

    outcomes = [outcome for changeset in read_history(path) for outcome in changeset.tool_calls]
    assert {outcome.call_id: outcome.executed for outcome in outcomes} == {"c1": True, "c2": False}


@pytest.mark.parametrize(
    ("call", "gate", "outcome"),
    [
        (CALL, [], "succeeded"),
        (WRONG, [], "failed"),
        (NOWHERE, [], "failed"),
        (CALL, [Block("no")], "failed"),
        (CALL, [SetToolResult(5)], "succeeded"),
        (CALL, [Suspend("approve")], "suspended"),
    ],
)
async def test_behaviors_are_told_of_every_call_whatever_becomes_of_it(
    path: Path, call: ToolCall, gate: list[Any], outcome: str
) -> None:
    def tell(context: Context) -> State | None:
        return State(Set("/told", context.outcome.outcome)) if context.outcome else None

    await run_agent(
        path, scripted_agent(call, behaviors=[act_in("before_tool_execute", *gate), PhaseBehavior(tell)])
    )

    assert replay(read_history(path)).state["told"] == outcome


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ToolError("Denied: the desk is closed"), "Denied: the desk is closed"),
        (ToolError("[full] no room left"), "[full] no room left"),
        (ValueError("no room left"), "Execution failed: no room left"),
        (TimeoutError("no room left"), "Execution failed: no room left"),
        (KeyError(), "Execution failed: KeyError()"),
    ],
    ids=repr,
)
async def test_the_model_is_told_why_a_tool_has_failed_and_the_run_goes_on(
    path: Path, error: Exception, text: str
) -> None:
    """A failure is one text, in the tool's own words, whatever kind it is of: a model reads nothing else.

    Other systems have an error class for each kind, codes beside the text, and a success with a warning. A
    code stands in the text here, as in threadlog's own `[state_conflict]`; a warning is part of a result.
    """

    def book() -> None:
        raise error

    result = await run_agent(path, scripted_agent(ToolCall("book", id="c1"), "hello", tools=[book]))

    assert (result.output, read_tool_results(path)) == ("hello", [dumps({"error": text}).decode()])
    assert read_call_statuses(path) == {"c1": "failed"}


UNKEPT: list[ToolResult] = [
    ToolResult("done", messages=[AddMessage("\ud800")]),
    ToolResult("done", messages=[AddMessage(5)]),  # type: ignore[arg-type]
    ToolResult("done", messages=["text"]),  # type: ignore[list-item]
    ToolResult("done", actions=5),  # type: ignore[arg-type]
    ToolResult(suspend=5),  # type: ignore[arg-type]
    ToolResult(suspend=Suspend(message="\ud800")),
    ToolResult(suspend=Suspend(parameters=object())),
    ToolResult(suspend=Suspend(response_schema=float("nan"))),
    ToolResult(suspend=Suspend(resume_mode="later")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("result", UNKEPT, ids=range(len(UNKEPT)))
async def test_a_tool_that_says_or_asks_what_cannot_be_kept_has_failed_and_the_run_goes_on(
    path: Path, result: ToolResult
) -> None:
    def book() -> ToolResult:
        return result

    ended = await run_agent(path, scripted_agent(ToolCall("book", id="c1"), "hello", tools=[book]))

    assert (ended.output, read_call_statuses(path)) == ("hello", {"c1": "failed"})
    assert read_tool_results(path)[0].startswith('{"error":"the result of \'book\' cannot be kept: ')


async def test_a_tool_may_read_the_conversation_and_does_not_change_it(path: Path) -> None:
    def read(context: ToolContext) -> list[str]:
        messages = context.messages()
        arguments = messages[-1].tool_calls[0].arguments
        assert isinstance(arguments, dict)
        arguments["spoilt"] = True
        return [message.role for message in messages]

    planner = scripted_agent([ToolCall("read", {}, "c1"), ToolCall("read", {}, "c2")], tools=[read])
    result = await run_agent(path, planner)

    assert read_tool_results(path) == ['["user","assistant"]'] * 2
    assert replay(read_history(path)).messages[1].tool_calls[0].arguments == {}
    with Log.open(path, readonly=True) as log:
        assert await replay_run(log, result.run_id, [planner]) is None


async def test_a_tools_messages_come_before_those_of_behaviors(path: Path) -> None:
    def speak() -> ToolResult:
        return ToolResult("spoken", messages=[AddMessage("from the tool"), AddMessage(" ")])

    behaviors = [act_in("after_tool_execute", AddMessage("from a behavior"))]
    result = await run_agent(
        path, scripted_agent(ToolCall("speak", id="c1"), tools=[speak], behaviors=behaviors)
    )

    said = read_history(path)[2].messages
    assert [message.content for message in said] == ["spoken", "from the tool", "from a behavior"]
    assert {(message.run_id, message.step) for message in said} == {(result.run_id, 0)}


def big(arguments: dict[str, Any]) -> bool:
    return bool(arguments["amount"] > 100)


@tool(needs_approval=big)
def pay(amount: int) -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (ToolCall("erase"), "suspended"),
        (ToolCall("pay", {"amount": 101}), "suspended"),
        (ToolCall("pay", {"amount": 100}), "succeeded"),
        (ToolCall("pay", {"amount": "much"}), "failed"),
    ],
)
async def test_a_tool_that_needs_approval_waits_for_it(path: Path, call: ToolCall, status: str) -> None:
    named = call.model_copy(update={"id": "c1"})

    await run_agent(path, scripted_agent(named, tools=[erase, pay]))

    assert read_call_statuses(path) == {"c1": status}


async def test_a_question_about_approval_that_fails_ends_the_call_only(path: Path) -> None:
    @tool(needs_approval=lambda arguments: arguments["nothing"])
    def strange() -> str:
        return "done"

    result = await run_agent(path, scripted_agent(ToolCall("strange"), "hello", tools=[strange]))

    assert (result.output, read_tool_results(path)) == (
        "hello",
        ['{"error":"Execution failed: \'nothing\'"}'],
    )


async def test_a_tool_that_is_late_has_failed_and_others_go_on(path: Path) -> None:
    @tool(timeout=0.001)
    async def slow() -> None:
        await anyio.sleep_forever()

    result = await run_agent(
        path, scripted_agent([ToolCall("slow", id="c1"), CALL.model_copy(update={"id": "c2"})], tools=[slow])
    )

    assert result.termination.type == "natural_end"
    assert '{"error":"Execution failed: no answer within 0.001 seconds"}' in read_tool_results(path)


async def test_a_tool_has_a_key_that_is_the_same_whenever_the_call_is_made_again(path: Path) -> None:
    keys: list[str] = []

    async def note(context: ToolContext) -> Any:
        keys.append(context.idempotency_key)

    result = await run_agent(
        path, scripted_agent(ToolCall("note", id="c1"), ToolCall("note", id="c1"), tools=[note])
    )

    assert keys == [f"{result.run_id}:0:c1", f"{result.run_id}:1:c1"]


async def test_a_call_of_the_same_id_has_another_key_when_its_run_has_waited(path: Path) -> None:
    keys: list[str] = []

    async def pay(context: ToolContext) -> ToolResult:
        keys.append(context.idempotency_key)
        return ToolResult("paid", suspend=Suspend("pay") if len(keys) == 1 else None)

    twice = ToolCall("pay", id="c1")
    await run_and_decide(
        path, scripted_agent(twice, twice, "paid twice", tools=[pay]), Decision.approve("c1")
    )

    assert keys[0] == keys[1] != keys[2]


async def test_a_tool_is_told_whose_call_it_serves(path: Path) -> None:
    def which(context: ToolContext) -> list[str]:
        return [context.thread_id, context.call_id, context.agent]

    await run_agent(path, scripted_agent(ToolCall("which", id="c1"), tools=[which]))

    assert read_tool_results(path) == ['["t1","c1","planner"]']


async def test_an_error_that_has_no_utf_8_is_told_with_a_question_mark(path: Path) -> None:
    def strange() -> None:
        raise ValueError("\ud800!")

    result = await run_agent(
        path, scripted_agent(ToolCall("strange"), "hello", tools=[strange]), effects=CountingEffects()
    )

    assert (result.output, read_tool_results(path)) == ("hello", ['{"error":"Execution failed: ?!"}'])
