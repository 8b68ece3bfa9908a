from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior, act_in, fail_in
from support.checks import assert_ended
from support.log_reads import read_history, read_reasons, read_state
from support.reducers import Spend
from support.runtimes import open_runtime, run_agent
from threadlog.engine import Agent, Context, ScriptedModel, State, ToolCall, ToolResult
from threadlog.reducers import Action, Set, replay
from threadlog.reducers.run import MoveRun, StartRun
from threadlog.store.changeset import Termination
from threadlog.store.errors import ContentError

pytestmark = pytest.mark.anyio

CALL = ToolCall("add", {"a": 1, "b": 2}, "c1")


def error(detail: str) -> Termination:
    return Termination(type="error", detail=detail)


ENDS = {
    "run_start": ["run_started"],
    "step_start": ["run_started"],
    "before_inference": ["run_started"],
    "after_inference": ["run_started"],
    "step_end": ["run_started"],
    "before_tool_execute": ["run_started", "assistant_turn"],
    "after_tool_execute": ["run_started", "assistant_turn", "tool_results"],
}
"""What was committed when the phase is reached for the first time."""


@pytest.mark.parametrize("phase", ENDS)
async def test_a_behavior_that_raises_ends_the_run_with_its_name_and_phase(path: Path, phase: str) -> None:
    result = await run_agent(path, scripted_agent(CALL, "hello", behaviors=[fail_in(phase)]))

    assert_ended(path, result, error(f"behavior 'failing' failed in {phase}: no luck"))
    assert read_reasons(path) == [*ENDS[phase], "run_finished"]


@pytest.mark.parametrize("phase", ENDS)
async def test_nothing_is_kept_of_a_phase_in_which_a_behavior_raises(path: Path, phase: str) -> None:
    """what behaviors before it asked for in the same phase is dropped too"""
    before = act_in(phase, Set("/dropped", 1), name="before")
    start = act_in("run_start", Set("/kept", 1), name="start") if phase != "run_start" else act_in("none")

    await run_agent(path, scripted_agent(CALL, "hello", behaviors=[start, before, fail_in(phase)]))

    assert read_state(path) == ({"kept": 1} if phase != "run_start" else {})
    sources = {action.source for changeset in read_history(path) for action in changeset.actions}
    assert sources <= {"agent_loop", "behavior:start:run_start"}


async def test_a_behavior_that_raises_at_the_end_does_not_change_the_end(path: Path) -> None:
    """Nothing of the phase is kept, as in every other: half of what was asked for is in no log."""
    before = act_in("run_end", Set("/dropped", 1), name="before")

    result = await run_agent(path, scripted_agent("hello", behaviors=[before, fail_in("run_end")]))

    assert_ended(path, result, Termination(type="natural_end"))
    assert (result.output, read_state(path)) == ("hello", {})


async def test_an_error_without_a_text_is_told_by_its_type(path: Path) -> None:
    def fail(context: Context) -> None:
        raise KeyError

    result = await run_agent(path, scripted_agent("hello", behaviors=[PhaseBehavior(fail)]))

    assert result.termination.detail == "behavior 'behavior' failed in run_start: KeyError()"


ILLEGAL: list[tuple[Any, str]] = [
    (["Terminate"], "str is not legal in the phase 'step_start'"),
    ([State(Set("/a", 1)), 5], "int is not legal in the phase 'step_start'"),
    ([Set("/a", 1)], "Set is not legal in the phase 'step_start'"),
    ([State(Set("/a", 1)), State(Set("/__run", 1))], "'/__run' is kept by threadlog itself"),
    (State(Set("/a", 1, scope="tool_call")), "names no tool call"),
    (State(Set("/a", 2**64)), "the log cannot store Set"),
    (5, "'int' object is not iterable"),
]


@pytest.mark.parametrize(("asked", "text"), ILLEGAL)
async def test_an_illegal_action_ends_the_run_and_nothing_of_it_is_written(
    path: Path, asked: Any, text: str
) -> None:
    illegal = PhaseBehavior(lambda context: asked if context.phase == "step_start" else None, "illegal")

    result = await run_agent(path, scripted_agent("hello", behaviors=[illegal]))

    assert result.termination.type == "error"
    assert "behavior 'illegal' failed in step_start: " in (result.termination.detail or "")
    assert text in (result.termination.detail or "")
    assert read_state(path) == {}


async def test_an_action_that_no_reducer_of_the_agent_understands_ends_the_run(path: Path) -> None:
    spending = act_in("run_start", Spend(amount=1))

    result = await run_agent(path, Agent("planner", ScriptedModel("hello"), behaviors=[spending]))

    assert "no reducer here understands Spend" in (result.termination.detail or "")


@pytest.mark.parametrize("action", [StartRun(run_id="mine"), MoveRun(run_id="mine", status="done")])
async def test_the_actions_of_the_loop_are_not_for_users(path: Path, action: Action) -> None:
    """the run could not end if its record were changed under it"""

    def act() -> ToolResult:
        return ToolResult("done", [action])

    asked = act_in("step_end", action)
    result = await run_agent(path, scripted_agent(ToolCall("act"), "hello", tools=[act]))
    other = await run_agent(path, scripted_agent("hello", behaviors=[asked]), "again")

    assert (result.output, other.termination.type) == ("hello", "error")
    assert "is an action of threadlog itself" in (other.termination.detail or "")
    assert "is an action of threadlog itself" in replay(read_history(path)).messages[2].content


async def test_a_model_that_raises_ends_the_run_with_its_error(path: Path) -> None:
    result = await run_agent(path, scripted_agent(CALL, ValueError("overloaded")))

    assert_ended(path, result, error("model 'scripted' failed on attempt 1 of 2: unknown: overloaded"))
    assert result.output is None
    assert read_reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_finished"]


TOLD: list[tuple[ToolCall, str]] = [
    (ToolCall("fail"), '{"error":"Execution failed: no luck"}'),
    (ToolCall("fail", {"text": ""}), '{"error":"Execution failed: ValueError(\'\')"}'),
    (ToolCall("nowhere", {"a": 1}), '{"error":"Tool \'nowhere\' not found"}'),
    (ToolCall("add", {"a": 1}), '{"error":"Invalid arguments: b: Field required"}'),
    (ToolCall("add", "text"), '{"error":"Invalid arguments: arguments: Input should be a valid dictionary'),
    (ToolCall("spend", {"amount": -1}), '{"error":"the tool was executed, but its state change was refused'),
]


@pytest.mark.parametrize(("call", "text"), TOLD)
async def test_a_call_that_fails_is_told_to_the_model_and_the_run_goes_on(
    path: Path, call: ToolCall, text: str
) -> None:
    result = await run_agent(path, scripted_agent([call, CALL], "hello", tool_execution="sequential"))

    told = [message.content for message in replay(read_history(path)).messages if message.role == "tool"]
    assert told[0].startswith(text)
    assert told[1] == "3"
    assert (result.termination.type, result.output) == ("natural_end", "hello")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def test_a_result_that_cannot_be_kept_fails_the_call(path: Path) -> None:
    def strange() -> Any:
        return float("nan")

    result = await run_agent(path, scripted_agent(ToolCall("strange"), "hello", tools=[strange]))

    assert result.output == "hello"
    assert "the result of 'strange' cannot be kept: nan" in replay(read_history(path)).messages[2].content


@pytest.mark.does_not_replay("the result that ended the run could not be stored")
async def test_a_commit_that_cannot_be_kept_ends_the_run_and_the_end_says_why(path: Path) -> None:
    """The result alone could be stored, but not with everything around it; the text for the model could."""

    def large() -> Any:
        return "x" * (9 * 2**20)

    result = await run_agent(path, scripted_agent(ToolCall("large", id="c1"), "hello", tools=[large]))

    assert "more than the limit" in (result.termination.detail or "")
    assert read_reasons(path) == ["run_started", "assistant_turn", "run_finished"]
    assert [message.role for message in replay(read_history(path)).messages] == ["user", "assistant", "tool"]


async def test_an_end_that_cannot_be_kept_is_an_error_without_output(path: Path) -> None:
    asked: list[str] = []

    def ask(context: Context) -> list[State]:
        asked.append(context.phase.value)
        return [State(Set("/large", "x" * (9 * 2**20)))] if context.phase == "run_end" else []

    result = await run_agent(path, scripted_agent("hello", behaviors=[PhaseBehavior(ask)]))

    assert "more than the limit" in (result.termination.detail or "")
    assert (result.output, read_state(path), asked.count("run_end")) == (None, {}, 1)


@pytest.mark.parametrize("prompt", ["\ud800", "x" * 2**24])
async def test_a_prompt_that_cannot_be_kept_starts_no_run(path: Path, prompt: str) -> None:
    async with open_runtime(path, scripted_agent("hello")) as runtime:
        with pytest.raises(ContentError):
            await runtime.start("planner", prompt, thread="t1")

        assert runtime.log.head("t1") == 0
        # The thread is free again.
        assert (await (await runtime.start("planner", "go", thread="t1")).result()).output == "hello"
