"""What becomes of a tool call before its tool is called, and what the tool is given."""

import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from runs import CountedEffects, agent, asking, erase, history, run, running, statuses, told, wanting

from threadlog.engine import Block, SetToolResult, Suspend, ToolCall, ToolContext, tool
from threadlog.engine.events import ToolProgress
from threadlog.reducers import Set, replay

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
    """blocked, answered, no such tool, arguments that do not fit, suspended, called"""
    gate = wanting("before_tool_execute", *actions)

    result = await run(path, agent(call, "hello", behaviors=[gate]))

    assert told(path)[0].startswith(text)
    assert (result.output, statuses(path)) == ("hello", {"c1": status})


@pytest.mark.parametrize("actions", [[Suspend("approve")], [Block("no"), Suspend("approve")]])
async def test_of_block_and_suspend_the_last_counts(path: Path, actions: list[Any]) -> None:
    result = await run(path, agent(CALL, behaviors=[wanting("before_tool_execute", *actions)]))

    assert (result.status, told(path), statuses(path)) == ("waiting", [], {"c1": "suspended"})


async def test_what_a_gate_answers_is_marked_as_not_called(path: Path) -> None:
    await run(path, agent([CALL, NOWHERE.model_copy(update={"id": "c2"})]))

    outcomes = [outcome for changeset in history(path) for outcome in changeset.tool_calls]
    assert {outcome.call_id: outcome.called for outcome in outcomes} == {"c1": True, "c2": False}


@pytest.mark.parametrize("call", [CALL, WRONG, NOWHERE])
async def test_behaviors_are_told_of_every_call_whatever_becomes_of_it(path: Path, call: ToolCall) -> None:
    behaviors = [asking("after_tool_execute", Set("/told", True))]

    await run(path, agent(call, behaviors=behaviors))

    assert replay(history(path)).state["told"] is True


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

    await run(path, agent(named, tools=[erase, pay]))

    assert statuses(path) == {"c1": status}


async def test_a_question_about_approval_that_fails_ends_the_call_only(path: Path) -> None:
    @tool(needs_approval=lambda arguments: arguments["nothing"])
    def strange() -> str:
        return "done"

    result = await run(path, agent(ToolCall("strange"), "hello", tools=[strange]))

    assert (result.output, told(path)) == ("hello", ['{"error":"Execution failed: \'nothing\'"}'])


async def test_a_tool_that_is_late_has_failed_and_others_go_on(path: Path) -> None:
    @tool(timeout=0.001)
    async def slow() -> None:
        await anyio.sleep_forever()

    result = await run(
        path, agent([ToolCall("slow", id="c1"), CALL.model_copy(update={"id": "c2"})], tools=[slow])
    )

    assert result.termination.type == "natural_end"
    assert '{"error":"Execution failed: no answer within 0.001 seconds"}' in told(path)


async def test_a_tool_has_a_key_that_is_the_same_whenever_the_call_is_made_again(path: Path) -> None:
    keys: list[str] = []

    async def note(context: ToolContext) -> Any:
        keys.append(context.idempotency_key)

    result = await run(path, agent(ToolCall("note", id="c1"), ToolCall("note", id="c1"), tools=[note]))

    assert keys == [f"{result.run_id}:0:c1", f"{result.run_id}:1:c1"]


async def test_a_tool_is_told_whose_call_it_serves(path: Path) -> None:
    def which(context: ToolContext) -> list[str]:
        return [context.thread_id, context.call_id, context.agent]

    await run(path, agent(ToolCall("which", id="c1"), tools=[which]))

    assert told(path) == ['["t1","c1","planner"]']


async def test_progress_is_told_from_either_kind_of_tool_and_is_not_kept(path: Path) -> None:
    async def quick(context: ToolContext) -> None:
        context.progress({"percent": 50})

    def blocking(context: ToolContext) -> None:
        context.progress("half")

    calls = [ToolCall("quick", id="c1"), ToolCall("blocking", id="c2")]
    async with running(path, agent(calls, tools=[quick, blocking], tool_execution="sequential")) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert [event for event in events if isinstance(event, ToolProgress)] == [
        ToolProgress("c1", "quick", {"percent": 50}),
        ToolProgress("c2", "blocking", "half"),
    ]
    assert "half" not in str(history(path))


async def test_cancelling_reaches_a_tool_that_waits(path: Path) -> None:
    started, ended = anyio.Event(), anyio.Event()

    async def wait() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with running(path, agent(ToolCall("wait"), tools=[wait])) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()
        assert await runtime.cancel(going.run_id)
        result = await going.result()

    assert result.termination.type == "cancelled"
    assert ended.is_set()


async def test_cancelling_reaches_a_tool_that_blocks_and_looks(path: Path) -> None:
    started, ended = anyio.Event(), threading.Event()

    def block() -> None:
        anyio.from_thread.run_sync(started.set)
        try:
            while True:
                anyio.from_thread.check_cancelled()
        finally:
            ended.set()

    async with running(path, agent(ToolCall("block"), tools=[block])) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()
        await runtime.cancel(going.run_id)
        result = await going.result()

    assert result.termination.type == "cancelled"
    assert await anyio.to_thread.run_sync(ended.wait, 10)


async def test_an_error_that_has_no_utf_8_is_told_with_a_question_mark(path: Path) -> None:
    def strange() -> None:
        raise ValueError("\ud800!")

    result = await run(path, agent(ToolCall("strange"), "hello", tools=[strange]), effects=CountedEffects())

    assert (result.output, told(path)) == ("hello", ['{"error":"Execution failed: ?!"}'])
