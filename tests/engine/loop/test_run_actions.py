from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.behaviors import PHASES, PhaseBehavior, act_in
from support.log_reads import read_history, read_state, read_tool_results
from support.reducers import Count, Spend
from support.runtimes import run_agent
from support.tools import TOOLS
from threadlog.engine import Behavior, Context, State, ToolCall, ToolContext, ToolResult
from threadlog.reducers import Append, Increment, Insert, Set, StateAction, replay

pytestmark = pytest.mark.anyio

SPEND = ToolCall("spend", {"amount": 3}, "c1")


def sources(path: Path) -> list[tuple[str, str, str]]:
    """Every action that is not the loop's: who asked for what, and in which commit."""
    return [
        (changeset.reason, action.source, action.action)
        for changeset in read_history(path)
        for action in changeset.actions
        if action.source != "agent_loop"
    ]


async def test_a_behavior_may_act_in_every_phase_and_the_log_says_who_and_when(path: Path) -> None:
    everywhere = [act_in(phase, Append("/seen", phase), name=phase) for phase in PHASES]

    await run_agent(path, scripted_agent(SPEND, behaviors=everywhere))

    first = ["run_start", "step_start", "before_inference", "after_inference", "step_end"]
    calls = ["before_tool_execute", "after_tool_execute"]
    assert read_state(path)["seen"] == [*first, *calls, *first[1:], "run_end"]
    assert sources(path) == [
        ("run_started", "behavior:run_start:run_start", "Append"),
        *(("assistant_turn", f"behavior:{phase}:{phase}", "Append") for phase in first[1:]),
        ("tool_results", "behavior:before_tool_execute:before_tool_execute", "Append"),
        ("tool_results", "tool:spend", "Spend"),
        ("tool_results", "tool:spend", "Set"),
        ("tool_results", "behavior:after_tool_execute:after_tool_execute", "Append"),
        *(("assistant_turn", f"behavior:{phase}:{phase}", "Append") for phase in first[1:]),
        ("run_finished", "behavior:run_end:run_end", "Append"),
    ]


async def test_a_patch_carries_the_source_of_its_action(path: Path) -> None:
    await run_agent(
        path,
        scripted_agent("hello", behaviors=[act_in("run_start", Set("/a", 1), Set("/a", 1), Set("/b", 1))]),
    )

    first = read_history(path)[0]
    for patch in first.patches:
        assert patch.action is not None
        assert first.actions[patch.action].source == patch.source
    # An action that changes nothing is still in the log.
    assert [action.action for action in first.actions[2:]] == ["Set", "Set", "Set"]
    assert [patch.action for patch in first.patches] == [0, 2, 4]


async def test_each_behavior_sees_the_state_as_the_one_before_it_left_it(path: Path) -> None:
    def double(context: Context) -> list[State]:
        return [State(Set("/n", 2 * context.read("/n")))] if context.phase == "step_start" else []

    start = act_in("run_start", Set("/n", 1), name="start")
    await run_agent(
        path,
        scripted_agent("hello", behaviors=[start, PhaseBehavior(double, "a"), PhaseBehavior(double, "b")]),
    )

    assert read_state(path) == {"n": 4}


class Mixed(Behavior):
    """Each way to return actions."""

    def run_start(self, context: Context) -> State:
        return State(Set("/one", 1))

    def step_start(self, context: Context) -> Any:
        yield State(Set("/generated", 1))

    def before_inference(self, context: Context) -> None:
        return None

    def step_end(self, context: Context) -> tuple[State, ...]:
        return (State(Set("/tuple", 1)),)


async def test_a_behavior_returns_one_action_or_many_or_none(path: Path) -> None:
    await run_agent(path, scripted_agent("hello", behaviors=[Mixed()]))

    assert read_state(path) == {"one": 1, "generated": 1, "tuple": 1}
    assert {source for _, source, _ in sources(path)} == {
        "behavior:Mixed:run_start",
        "behavior:Mixed:step_start",
        "behavior:Mixed:step_end",
    }


async def test_a_behavior_may_write_for_the_run_and_for_the_call_it_is_asked_about(path: Path) -> None:
    behaviors = [
        act_in("step_start", Count(), Set("/note", 1, scope="run"), name="run"),
        act_in("before_tool_execute", Set("/note", 2, scope="tool_call"), name="call"),
    ]

    await run_agent(path, scripted_agent([SPEND, ToolCall("add", {}, "c.2/x")], behaviors=behaviors))

    document = replay(read_history(path)).state
    assert (document["__run"]["counter"], document["__run"]["note"]) == ({"n": 2}, 1)
    assert document["__tool_call_scope"]["c.2/x"]["note"] == 2


async def test_what_a_run_and_its_calls_kept_is_forgotten_by_the_next(path: Path) -> None:
    await run_agent(path, scripted_agent(SPEND, behaviors=[act_in("run_start", Count())]))
    await run_agent(path, scripted_agent("hello"), "next")

    document = replay(read_history(path)).state
    assert set(document["__run"]) == {"id", "status", "done_reason", "control"}
    assert document["__tool_call_scope"] == {}
    assert document["budget"] == {"spent": 3, "items": ["something"]}


async def test_a_tool_changes_the_state_by_actions(path: Path) -> None:
    result = await run_agent(path, scripted_agent(SPEND, SPEND.model_copy(update={"id": "c2"})))

    assert result.termination.type == "natural_end"
    assert read_tool_results(path) == ["spent 3", "spent 3"]
    assert read_state(path) == {"budget": {"spent": 6, "items": ["something", "something"]}}
    scope = replay(read_history(path)).state["__tool_call_scope"]
    assert (scope["c1"]["note"], scope["c2"]["note"]) == ("spent", "spent")


async def test_a_tool_sees_the_state_as_the_tool_before_it_left_it(path: Path) -> None:
    def next_number(context: ToolContext) -> ToolResult:
        n = context.read("/n", 0) + 1
        return ToolResult(n, [Set("/n", n)])

    calls = [ToolCall("next_number"), ToolCall("next_number")]
    await run_agent(path, scripted_agent(calls, tools=[next_number], tool_execution="sequential"))

    assert read_tool_results(path) == ["1", "2"]


async def test_a_tool_reads_what_was_kept_for_its_call_and_for_the_run(path: Path) -> None:
    def look(context: ToolContext) -> list[Any]:
        return [context.read("/note", scope="tool_call"), context.read("/note", scope="run")]

    call = act_in("before_tool_execute", Set("/note", "call", scope="tool_call"), name="call")
    start = act_in("run_start", Set("/note", "run", scope="run"), name="start")
    await run_agent(path, scripted_agent(ToolCall("look", id="c.1/~"), tools=[look], behaviors=[call, start]))

    assert read_tool_results(path) == ['["call","run"]']


REFUSED: list[tuple[list[StateAction], str]] = [
    ([Set("/a", 1), Increment("/nothing")], "path not found: '/nothing'"),
    ([Set("/a", 1), Insert("/list", 5, 1)], "index 5 out of bounds (len: 1) at path '/list'"),
    ([Set("/a", 1), Spend(amount=-1)], "reducer 'budget' failed"),
    ([Set("/a", 1), Set("/__run", 1)], "kept by threadlog itself"),
    ([Set("/a", 1), Set("/b", float("nan"))], "the log cannot store Set"),
    ([Set("/a", 1), "Set"], "no reducer here understands str"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("actions", "text"), REFUSED)
async def test_a_tool_whose_actions_are_refused_has_failed_but_was_executed(
    path: Path, actions: list[StateAction], text: str
) -> None:
    """Its result is kept, none of its actions is applied, and the run continues."""

    def act() -> ToolResult:
        return ToolResult({"booked": "A"}, actions)

    start = act_in("run_start", Set("/list", [1]))
    fields: dict[str, Any] = {"tools": [act, *TOOLS], "behaviors": [start], "tool_execution": "sequential"}
    result = await run_agent(path, scripted_agent([ToolCall("act"), SPEND], "hello", **fields))

    (outcome,) = read_history(path)[2].tool_calls
    assert outcome.outcome == "failed"
    assert isinstance(outcome.result, dict)
    assert outcome.result["result"] == {"booked": "A"}
    error = str(outcome.result["error"])
    assert error.startswith("the tool was executed, but its state change was refused: ")
    assert text in error
    assert [action.source for action in read_history(path)[2].actions] == ["agent_loop"]
    assert (result.output, read_state(path)) == (
        "hello",
        {"list": [1], "budget": {"spent": 3, "items": ["something"]}},
    )


async def test_a_tool_that_fails_changes_nothing(path: Path) -> None:
    await run_agent(path, scripted_agent(ToolCall("fail"), ToolCall("spend", {"amount": "much"})))

    assert read_state(path) == {}
    assert [source for _, source, _ in sources(path)] == []
