"""Stop policies, and what an end of any kind leaves to the next run."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.agents import scripted_agent
from support.behaviors import act_in, fail_in
from support.effects import CountingEffects
from support.log_reads import read_history, read_reasons, read_state, read_tool_results
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime, run_agent
from support.tools import erase, fail
from threadlog.engine import Decision, ModelRequest, Terminate, ToolCall, ToolResult, Turn
from threadlog.engine.agents.stop_policy import (
    ConsecutiveErrors,
    ContentMatch,
    LoopDetection,
    MaxRounds,
    Progress,
    RoundSummary,
    StopOnTool,
    StopPolicy,
    Timeout,
    TokenBudget,
    check_policies,
)
from threadlog.reducers import Set, replay
from threadlog.store.changeset import RunStatus, Termination, Usage

pytestmark = pytest.mark.anyio

ADD, FAIL = ToolCall("add", {"a": 1, "b": 1}), ToolCall("fail")
SPENDING = Turn(tool_calls=[ADD], usage=Usage(input_tokens=6, output_tokens=4))


class Hours(CountingEffects):
    """A clock that advances by an hour with every reading."""

    def now(self) -> int:
        return 3_600_000_000 * (super().now() - 1_700_000_000_000_000)


STOPS: list[tuple[list[Any], StopPolicy, str, str | None, int]] = [
    ([ADD] * 9, MaxRounds(2), "max_rounds_reached", None, 2),
    ([ADD] * 9, Timeout(3600), "timeout_reached", None, 1),
    ([ADD] * 9, Timeout(5 * 3600), "timeout_reached", None, 3),
    ([SPENDING] * 9, TokenBudget(20), "token_budget_exceeded", None, 2),
    ([FAIL, ADD, FAIL, FAIL, FAIL], ConsecutiveErrors(2), "consecutive_errors_exceeded", None, 4),
    ([[FAIL, ADD], FAIL, FAIL], ConsecutiveErrors(2), "consecutive_errors_exceeded", None, 3),
    ([ADD, FAIL, ADD], StopOnTool("fail"), "tool_called", "fail", 2),
    (
        [ADD, Turn(text="I am DONE.", tool_calls=[ADD]), ADD],
        ContentMatch("DONE"),
        "content_matched",
        "DONE",
        2,
    ),
    ([ADD, FAIL, FAIL, ADD], LoopDetection(), "loop_detected", None, 3),
    ([[ADD, FAIL], [FAIL, ADD], ADD], LoopDetection(), "loop_detected", None, 2),
    ([ADD, ToolCall("add", {"a": 5, "b": 5}), ADD], LoopDetection(), "loop_detected", None, 2),
    ([ADD, FAIL, ADD, FAIL, FAIL], LoopDetection(4), "loop_detected", None, 5),
]


@pytest.mark.parametrize(("turns", "policy", "code", "detail", "rounds"), STOPS)
async def test_a_run_is_stopped_when_its_round_is_complete(
    path: Path, turns: list[Any], policy: StopPolicy, code: str, detail: str | None, rounds: int
) -> None:
    """Other systems count errors on the turn before its tools have run: they never find one"""
    planner = scripted_agent(*turns, stop_when=[policy], max_rounds=0)

    result = await run_agent(path, planner, effects=Hours())

    assert result.termination == Termination(type="stopped", code=code, detail=detail)
    assert (result.status, result.output) == ("done", None)
    assert read_reasons(path).count("assistant_turn") == rounds
    assert read_reasons(path)[-2:] == ["tool_results", "run_finished"]


OFF: list[StopPolicy] = [
    TokenBudget(0),
    ConsecutiveErrors(0),
    ContentMatch(""),
    StopOnTool("none"),
    Timeout(1e9),
]


@pytest.mark.parametrize("policy", OFF)
async def test_a_policy_that_says_nothing_stops_nothing(path: Path, policy: StopPolicy) -> None:
    result = await run_agent(path, scripted_agent(FAIL, FAIL, SPENDING, "hello", stop_when=[policy]))

    assert result.output == "hello"


async def test_a_time_limit_interrupts_nothing(path: Path) -> None:
    """a tool that is late ends with its result in the log, an answer that is late ends the run naturally"""
    hours = Hours()
    results = [
        await run_agent(path, scripted_agent(turn, stop_when=[Timeout(1)]), effects=hours)
        for turn in (ADD, "late")
    ]

    assert [result.termination.code for result in results] == ["timeout_reached", None]
    assert (read_tool_results(path), results[1].output) == (["2"], "late")


async def test_a_run_is_not_stopped_for_what_an_earlier_one_did(path: Path) -> None:
    policies = [TokenBudget(20), ConsecutiveErrors(2), LoopDetection()]
    failed = Turn(tool_calls=[FAIL], usage=Usage(input_tokens=15))
    planner = scripted_agent(failed, "one", failed, "two", stop_when=policies, max_rounds=2)

    assert [(await run_agent(path, planner)).output for _ in range(2)] == ["one", "two"]


async def test_what_counts_is_read_from_the_run_and_kept_nowhere_else(path: Path) -> None:
    """Other systems keep counters in the state; here the conversation and the run's facts are counters"""
    await run_agent(path, scripted_agent(SPENDING, "hello", stop_when=[Timeout(9e9), TokenBudget(99)]))

    assert set(replay(read_history(path)).state["__run"]) == {"id", "status", "done_reason", "control"}
    assert read_state(path) == {}


async def test_a_run_that_a_person_lets_go_on_has_spent_what_it_spent(path: Path) -> None:
    """its rounds and tokens count on; its time begins anew, for a person may take as long as they like"""
    asks = Turn(tool_calls=[ToolCall("erase", id="c1")], usage=Usage(input_tokens=15))
    spends = Turn(tool_calls=[FAIL], usage=Usage(input_tokens=5))
    policies = [Timeout(5 * 3600), TokenBudget(20)]
    planner = scripted_agent(asks, spends, "never", tools=[erase, fail], stop_when=policies)
    hours = Hours()
    async with open_runtime(path, planner, effects=hours) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        for _ in range(9):
            hours.now()
        resumed = await runtime.decide(started.run_id, [Decision.approve("c1")])
        assert resumed
        result = await resumed.result()

    assert (result.termination.code, result.usage.input_tokens) == ("token_budget_exceeded", 20)


async def test_the_pieces_of_an_answer_are_no_rounds(path: Path) -> None:
    """Other systems count each as one: an answer that is merely long would be stopped in the middle"""
    pieces = [Turn(text=text, finish_reason="length") for text in "ab"]
    policies = [ConsecutiveErrors(2), ContentMatch("b")]

    result = await run_agent(path, scripted_agent(FAIL, *pieces, "c", max_rounds=2, stop_when=policies))
    failed = await run_agent(path, scripted_agent(FAIL, *pieces, FAIL, "never", stop_when=policies))

    assert (result.output, failed.termination.code) == ("abc", "consecutive_errors_exceeded")


async def test_a_limit_among_the_policies_does_not_lift_the_agent_s_own(path: Path) -> None:
    """In other systems it does. The agent's is a field that one can see: 0 lifts it."""
    planner = scripted_agent(*[ADD] * 3, max_rounds=2, stop_when=[MaxRounds(3)])

    assert (await run_agent(path, planner)).termination.code == "max_rounds_reached"
    assert len(read_tool_results(path)) == 2


async def test_ten_rounds_are_the_most_unless_the_agent_says_otherwise(path: Path) -> None:
    result = await run_agent(path, scripted_agent(*[ADD] * 11))

    assert result.termination == Termination(type="stopped", code="max_rounds_reached")
    assert read_reasons(path).count("assistant_turn") == 10


async def test_without_a_limit_a_run_goes_on(path: Path) -> None:
    assert (await run_agent(path, scripted_agent(*[ADD] * 12, "hello", max_rounds=0))).output == "hello"


async def test_a_run_that_ends_by_itself_is_never_stopped(path: Path) -> None:
    """one round is allowed, and one plain answer is no round too many"""
    result = await run_agent(path, scripted_agent("hello", max_rounds=1, stop_when=[ContentMatch("hello")]))

    assert (result.termination.type, result.output) == ("natural_end", "hello")


async def test_the_first_policy_that_says_stop_counts(path: Path) -> None:
    result = await run_agent(
        path, scripted_agent(ADD, stop_when=[StopOnTool("add"), TokenBudget(1)], max_rounds=1)
    )

    assert result.termination.code == "max_rounds_reached"


async def test_a_behavior_that_stops_a_turn_lets_its_tools_run(path: Path) -> None:
    stop = Terminate(Termination(type="stopped", code="mine"))

    result = await run_agent(path, scripted_agent(ADD, "never", behaviors=[act_in("after_inference", stop)]))

    assert result.termination.code == "mine"
    assert read_reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_finished"]


async def test_a_behavior_that_ends_a_run_is_heard_in_the_middle_of_an_answer(path: Path) -> None:
    """Other systems go on with a truncated answer whatever a behavior has said"""
    cut = Turn(text="half", finish_reason="length")

    result = await run_agent(
        path, scripted_agent(cut, "never", behaviors=[act_in("after_inference", Terminate())])
    )

    assert (result.termination.type, result.output) == ("behavior_requested", "half")


rounds = st.lists(
    st.builds(
        RoundSummary,
        st.sampled_from(["", "a"]),
        st.lists(st.sampled_from("ab"), max_size=2).map(tuple),
        st.booleans(),
    )
)
progress = st.builds(Progress, rounds, st.integers(0, 9), st.integers(0, 9_000_000))
some_policies: st.SearchStrategy[StopPolicy] = st.one_of(
    st.builds(MaxRounds, st.integers(1, 4)),
    st.builds(Timeout, st.integers(1, 9)),
    st.builds(TokenBudget, st.integers(0, 9)),
    st.builds(ConsecutiveErrors, st.integers(0, 3)),
    st.builds(StopOnTool, st.sampled_from("ab")),
    st.builds(ContentMatch, st.sampled_from(["", "a"])),
    st.builds(LoopDetection, st.integers(0, 4)),
)


@given(st.lists(some_policies), progress)
def test_policies_together_say_what_the_first_of_them_says(
    policies: list[StopPolicy], progress: Progress
) -> None:
    """check(a + b) == check(a) or check(b)"""
    half = len(policies) // 2
    together = check_policies(policies, progress)

    assert together == (
        check_policies(policies[:half], progress) or check_policies(policies[half:], progress)
    )
    assert together is None or together.type == "stopped"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def deep() -> ToolResult:
    return ToolResult("dug", [Set("/deep/er/and/deeper", nested(126))])


TERMINATE = act_in("before_inference", Terminate())
TOO_DEEP = act_in("step_end", Set("/deep/er/and/deeper", nested(126)))
ENDS: dict[str, tuple[list[Any], dict[str, Any], list[str], str, str]] = {
    "natural": (["hello"], {}, ["assistant_turn"], "natural_end", "natural"),
    "requested": ([], {"behaviors": [TERMINATE]}, [], "behavior_requested", "behavior_requested"),
    "stopped": (
        [ADD],
        {"max_rounds": 1},
        ["assistant_turn", "tool_results"],
        "stopped",
        "stopped:max_rounds_reached",
    ),
    "model": ([ValueError("no")], {}, [], "error", "error"),
    "behavior": ([], {"behaviors": [fail_in("step_start")]}, [], "error", "error"),
    "reducer": ([], {"behaviors": [act_in("step_start", Set("/__run", 1))]}, [], "error", "error"),
    "content": (["\ud800"], {}, [], "error", "error"),
    "arguments": ([ToolCall("add", {"a": 2**64})], {}, [], "error", "error"),
    "too deep": (["x"], {"behaviors": [TOO_DEEP]}, [], "error", "error"),
    "tool content": ([ToolCall("deep")], {"tools": [deep]}, ["assistant_turn"], "error", "error"),
}


@pytest.mark.does_not_replay("some of these ends are values that the log cannot store")
@pytest.mark.parametrize("name", ENDS)
async def test_every_end_is_in_the_log_and_the_next_run_on_the_thread_works(path: Path, name: str) -> None:
    turns, fields, between, kind, word = ENDS[name]
    result = await run_agent(path, scripted_agent(*turns, **fields))

    assert read_reasons(path) == ["run_started", *between, "run_finished"]
    facts = RunStatus(status="done", termination=result.termination, output=result.output)
    assert (result.termination.type, read_history(path)[-1].run) == (kind, facts)
    assert replay(read_history(path)).state["__run"]["done_reason"] == word
    assert ("user", "again") in await next_request(path)


async def next_request(path: Path) -> list[tuple[str, str]]:
    requests: list[ModelRequest] = []
    result = await run_agent(path, scripted_agent(recorded_turn(requests, "fine")), "again")
    assert result.output == "fine"
    return request_messages(requests[0])


async def test_the_tokens_of_an_answer_that_a_behavior_spoilt_are_counted(path: Path) -> None:
    """it was answered, and paid for: the answer is in the log with the end of the run"""
    turn = Turn(text="hello", usage=Usage(input_tokens=6, output_tokens=4))

    result = await run_agent(path, scripted_agent(turn, behaviors=[fail_in("after_inference")]))

    last = read_history(path)[-1]
    assert last.run is not None
    assert last.inference is not None
    assert (result.termination.type, last.run.usage, last.inference.usage) == (
        "error",
        turn.usage,
        turn.usage,
    )
    assert [message.content for message in last.messages] == ["hello"]
