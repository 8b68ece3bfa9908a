"""A round of tool calls: in which order they begin, end, and come into the log."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior, act_in
from support.log_reads import read_call_statuses, read_history, read_state, read_tool_results
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime, run_agent
from support.tool_rounds import INITIAL_STATE, OrderedTool, named_calls, read_completion_order
from support.tools import add, erase, fail
from threadlog.engine import AddMessage, Block, Decision, ModelRequest, ToolCall, ToolContext, ToolResult
from threadlog.engine.events.event import ToolCallFinished
from threadlog.reducers import Append, Increment
from threadlog.reducers.tool_call import calls as calls_in
from threadlog.store import Log

pytestmark = pytest.mark.anyio


async def test_each_call_of_a_parallel_round_is_in_the_log_as_it_ends(path: Path) -> None:
    """Each is a changeset of its own, and each of its patches names who asked for it: nothing is gathered
    into one patch of the round, which a crash could lose whole."""
    await run_agent(path, scripted_agent(named_calls("a", "b", "c"), tools=[OrderedTool("c", "a", "b").act]))

    assert read_completion_order(path) == ["c", "a", "b"]
    assert read_state(path)["order"] == ["c", "a", "b"]
    assert [len(changeset.tool_calls) for changeset in read_history(path)] == [0, 0, 1, 1, 1, 0, 0]


async def test_the_model_is_told_in_the_order_of_its_calls(path: Path) -> None:
    requests: list[ModelRequest] = []

    await run_agent(
        path,
        scripted_agent(
            named_calls("a", "b", "c"),
            recorded_turn(requests, "done"),
            tools=[OrderedTool("c", "a", "b").act],
        ),
    )

    assert request_messages(requests[0])[2:] == [("tool", "a"), ("tool", "b"), ("tool", "c")]


async def test_the_calls_of_a_parallel_round_read_the_state_that_it_began_with(path: Path) -> None:
    first_is_known = anyio.Event()

    async def act(context: ToolContext, name: str) -> ToolResult:
        if name == "b":
            await first_is_known.wait()
        return ToolResult(context.read("/n"), [Increment("/n")])

    async with open_runtime(
        path, scripted_agent(named_calls("a", "b"), tools=[act], behaviors=[INITIAL_STATE])
    ) as runtime:
        async for event in await runtime.start("planner", "go", thread="t1"):
            if isinstance(event, ToolCallFinished):
                first_is_known.set()

    assert (read_tool_results(path), read_state(path)["n"]) == (["0", "0"], 2)


async def test_a_result_is_told_while_others_still_work(path: Path) -> None:
    first_is_known = anyio.Event()

    async def act(name: str) -> str:
        if name == "b":
            await first_is_known.wait()
        return name

    async with open_runtime(path, scripted_agent(named_calls("a", "b"), tools=[act])) as runtime:
        async for event in await runtime.start("planner", "go", thread="t1"):
            if isinstance(event, ToolCallFinished):
                first_is_known.set()

    assert read_completion_order(path) == ["a", "b"]


async def test_sequential_calls_never_work_at_the_same_time(path: Path) -> None:
    at_work: list[str] = []

    async def act(name: str) -> int:
        at_work.append(name)
        await anyio.lowlevel.checkpoint()
        together = len(at_work)
        at_work.remove(name)
        return together

    await run_agent(path, scripted_agent(named_calls("a", "b"), tools=[act], tool_execution="sequential"))

    assert (read_completion_order(path), read_tool_results(path)) == (["a", "b"], ["1", "1"])


async def test_all_gates_of_a_parallel_round_come_before_the_first_tool(path: Path) -> None:
    gate = act_in("before_tool_execute", Increment("/n"))

    async def act(name: str) -> ToolResult:
        return ToolResult(name, [Append("/list", name)])

    await run_agent(path, scripted_agent(named_calls("a", "b"), tools=[act], behaviors=[INITIAL_STATE, gate]))

    sources = [action.source for action in read_history(path)[2].actions]
    assert sources == ["behavior:acting:before_tool_execute"] * 2 + ["tool:act", "agent_loop"]


async def test_behaviors_see_the_state_as_the_commit_before_left_it(path: Path) -> None:
    seen: list[Any] = []

    async def act(name: str) -> ToolResult:
        return ToolResult(name, [Increment("/n")])

    after = PhaseBehavior(
        lambda context: seen.append(context.read("/n")) if context.outcome else None, "after"
    )
    await run_agent(
        path, scripted_agent(named_calls("a", "b"), tools=[act], behaviors=[INITIAL_STATE, after])
    )

    assert seen == [1, 2]


@pytest.mark.parametrize(("first", "second"), [("fail", "add"), ("add", "fail"), ("nowhere", "add")])
async def test_a_call_id_that_comes_again_begins_anew_whatever_became_of_it(
    path: Path, first: str, second: str
) -> None:
    """providers reuse ids: a call that is over is no reason to end the run"""
    arguments: dict[str, Any] = {"add": {"a": 1, "b": 1}}
    turns = [ToolCall(name, arguments.get(name, {}), "c1") for name in (first, second)]

    result = await run_agent(path, scripted_agent(*turns, "hello"))

    assert (result.output, len(read_tool_results(path))) == ("hello", 2)
    assert read_call_statuses(path) == {"c1": "failed" if second == "fail" else "succeeded"}


async def test_a_call_is_recorded_as_new_until_it_has_an_outcome(path: Path) -> None:
    """The turn that asks for it is in the log before its tool starts, so a crash in a tool leaves a trace. A
    second commit that says `running` would make every round wait for the disk once more and tell no more."""
    seen: list[Any] = []

    def look() -> None:
        with Log.open(path, readonly=True) as log:
            seen.extend((call.call_id, call.status) for call in calls_in(log.state("t1")))

    await run_agent(path, scripted_agent(ToolCall("look", id="c1"), tools=[look]))

    assert (seen, read_call_statuses(path)) == ([("c1", "new")], {"c1": "succeeded"})


@pytest.mark.parametrize("execution", ["sequential", "parallel", "parallel_batch_approval"])
async def test_a_call_that_fails_does_not_stop_the_others(path: Path, execution: str) -> None:
    three = [ToolCall("fail", id="a"), ToolCall("nowhere", id="b"), ToolCall("add", {"a": 1, "b": 1}, "c")]

    result = await run_agent(path, scripted_agent(three, "hello", tool_execution=execution))

    assert read_call_statuses(path) == {"a": "failed", "b": "failed", "c": "succeeded"}
    assert result.output == "hello"


async def test_sequential_calls_stop_behind_one_that_is_suspended(path: Path) -> None:
    three = [ToolCall("add", {"a": 1, "b": 1}, "a"), ToolCall("erase", id="b"), ToolCall("fail", id="c")]
    requests: list[ModelRequest] = []
    planner = scripted_agent(
        three, recorded_turn(requests, "hello"), tools=[add, fail, erase], tool_execution="sequential"
    )

    result = await run_agent(path, planner)

    assert read_call_statuses(path) == {"a": "succeeded", "b": "suspended", "c": "new"}
    assert request_messages(requests[0])[2:] == [
        ("tool", "2"),
        ("tool", "Tool 'erase' is awaiting approval. Execution paused."),
        ("tool", "[Tool execution was interrupted before producing a result.]"),
    ]
    assert result.status == "waiting"


async def test_calls_behind_a_suspended_one_are_not_made_up_for(path: Path) -> None:
    """the model decides anew when it knows what became of the call before: it has asked for them in order"""
    two = [ToolCall("erase", id="b"), ToolCall("add", {"a": 1, "b": 1}, "c")]
    requests: list[ModelRequest] = []
    planner = scripted_agent(
        two, recorded_turn(requests, "hello"), tools=[add, erase], tool_execution="sequential"
    )
    async with open_runtime(path, planner) as runtime:
        waiting = await (await runtime.start("planner", "go", thread="t1")).result()
        resumed = await runtime.decide(waiting.run_id, [Decision.approve("b")])
        assert resumed
        await resumed.result()

    assert request_messages(requests[0])[2:] == [
        ("tool", "erased"),
        ("tool", "[Tool execution was interrupted before producing a result.]"),
    ]
    assert read_call_statuses(path) == {"b": "succeeded", "c": "cancelled"}


async def test_a_message_from_a_tool_does_not_part_others_from_their_call(path: Path) -> None:
    """providers refuse a result that stands behind a user's message"""

    relay = OrderedTool("a", "b")

    async def act(name: str) -> ToolResult:
        await relay.act(name)
        return ToolResult(name, messages=[AddMessage(f"from {name}", "user")])

    requests: list[ModelRequest] = []
    await run_agent(path, scripted_agent(named_calls("a", "b"), recorded_turn(requests, "done"), tools=[act]))

    spoken = [("tool", "a"), ("tool", "b"), ("user", "from a"), ("user", "from b")]
    assert request_messages(requests[0])[2:] == spoken


async def test_a_blocked_call_does_not_block_the_round(path: Path) -> None:
    def only_a(context: Any) -> Any:
        return Block("no") if context.phase == "before_tool_execute" and context.call.id == "a" else None

    await run_agent(
        path,
        scripted_agent(
            named_calls("a", "b"), tools=[OrderedTool("b").act], behaviors=[PhaseBehavior(only_a)]
        ),
    )

    assert read_call_statuses(path) == {"a": "failed", "b": "succeeded"}
