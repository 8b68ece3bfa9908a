from pathlib import Path
from typing import Any

import anyio
import pytest
from runs import (
    Asking,
    Spend,
    agent,
    asking,
    assert_sound,
    failing,
    history,
    reasons,
    run,
    running,
    state,
)

from threadlog.engine import Agent, Context, Runtime, ScriptedModel, State, ToolCall, ToolResult
from threadlog.engine.events.event import RunResult
from threadlog.reducers import Action, Set, replay
from threadlog.reducers.run import RunMoved, RunStarted
from threadlog.store import Message
from threadlog.store.changeset import Termination
from threadlog.store.errors import ContentError, DefinitionError, RunError, ThreadAlreadyRunning

pytestmark = pytest.mark.anyio

CALL = ToolCall("add", {"a": 1, "b": 2}, "c1")


def error(detail: str) -> Termination:
    return Termination(type="error", detail=detail)


def assert_ended(path: Path, result: RunResult, termination: Termination) -> None:
    """The result, the log and the state say the same of how the run ended."""
    last = history(path)[-1]
    assert result.termination == termination
    assert last.run is not None
    assert (last.reason, last.run.status, last.run.termination) == ("run_finished", "done", termination)
    assert replay(history(path)).state["__run"]["status"] == "done"


ENDS = {
    "run_start": ["run_started"],
    "step_start": ["run_started"],
    "before_inference": ["run_started"],
    "after_inference": ["run_started"],
    "step_end": ["run_started"],
    "before_tool_execute": ["run_started", "assistant_turn"],
    "after_tool_execute": ["run_started", "assistant_turn"],
}
"""What was committed when the phase is reached for the first time."""


@pytest.mark.parametrize("phase", ENDS)
async def test_a_behavior_that_raises_ends_the_run_with_its_name_and_phase(path: Path, phase: str) -> None:
    result = await run(path, agent(CALL, "hello", behaviors=[failing(phase)]))

    assert_ended(path, result, error(f"behavior 'failing' failed in {phase}: no luck"))
    assert reasons(path) == [*ENDS[phase], "run_finished"]


@pytest.mark.parametrize("phase", ENDS)
async def test_nothing_is_kept_of_a_phase_in_which_a_behavior_raises(path: Path, phase: str) -> None:
    """what behaviors before it asked for in the same phase is dropped too"""
    before = asking(phase, Set("/dropped", 1), name="before")
    start = asking("run_start", Set("/kept", 1), name="start") if phase != "run_start" else asking("none")

    await run(path, agent(CALL, "hello", behaviors=[start, before, failing(phase)]))

    assert state(path) == ({"kept": 1} if phase != "run_start" else {})
    sources = {action.source for changeset in history(path) for action in changeset.actions}
    assert sources <= {"agent_loop", "behavior:start:run_start"}


async def test_a_behavior_that_raises_at_the_end_does_not_change_the_end(path: Path) -> None:
    """Nothing of the phase is kept, as in every other: half of what was asked for is in no log."""
    before = asking("run_end", Set("/dropped", 1), name="before")

    result = await run(path, agent("hello", behaviors=[before, failing("run_end")]))

    assert_ended(path, result, Termination(type="natural_end"))
    assert (result.output, state(path)) == ("hello", {})


async def test_an_error_without_a_text_is_told_by_its_type(path: Path) -> None:
    def fail(context: Context) -> None:
        raise KeyError

    result = await run(path, agent("hello", behaviors=[Asking(fail)]))

    assert result.termination.detail == "behavior 'asking' failed in run_start: KeyError()"


ILLEGAL: list[tuple[Any, str]] = [
    (["Terminate"], "str is not legal in the phase 'step_start'"),
    ([State(Set("/a", 1)), 5], "int is not legal in the phase 'step_start'"),
    ([Set("/a", 1)], "Set is not legal in the phase 'step_start'"),
    ([State(Set("/a", 1)), State(Set("/__run", 1))], "'/__run' is kept by threadlog itself"),
    (State(Set("/a", 1, scope="tool_call")), "names no tool call"),
    (State(Set("/a", 2**64)), "the log cannot keep Set"),
    (5, "'int' object is not iterable"),
]


@pytest.mark.parametrize(("asked", "text"), ILLEGAL)
async def test_an_illegal_action_ends_the_run_and_nothing_of_it_is_written(
    path: Path, asked: Any, text: str
) -> None:
    illegal = Asking(lambda context: asked if context.phase == "step_start" else None, "illegal")

    result = await run(path, agent("hello", behaviors=[illegal]))

    assert result.termination.type == "error"
    assert "behavior 'illegal' failed in step_start: " in (result.termination.detail or "")
    assert text in (result.termination.detail or "")
    assert state(path) == {}


async def test_an_action_that_no_reducer_of_the_agent_understands_ends_the_run(path: Path) -> None:
    spending = asking("run_start", Spend(amount=1))

    result = await run(path, Agent("planner", ScriptedModel("hello"), behaviors=[spending]))

    assert "no reducer here understands Spend" in (result.termination.detail or "")


@pytest.mark.parametrize("action", [RunStarted(run_id="mine"), RunMoved(run_id="mine", status="done")])
async def test_the_actions_of_the_loop_are_not_for_users(path: Path, action: Action) -> None:
    """the run could not end if its record were changed under it"""

    def act() -> ToolResult:
        return ToolResult("done", [action])

    asked = asking("step_end", action)
    result = await run(path, agent(ToolCall("act"), "hello", tools=[act]))
    other = await run(path, agent("hello", behaviors=[asked]), "again")

    assert (result.output, other.termination.type) == ("hello", "error")
    assert "is an action of threadlog itself" in (other.termination.detail or "")
    assert "is an action of threadlog itself" in replay(history(path)).messages[2].content


async def test_a_model_that_raises_ends_the_run_with_its_error(path: Path) -> None:
    result = await run(path, agent(CALL, ValueError("overloaded")))

    assert_ended(path, result, error("model='scripted' attempt=1/2: unknown: overloaded"))
    assert result.output is None
    assert reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_finished"]


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
    result = await run(path, agent([call, CALL], "hello", tool_execution="sequential"))

    told = [message.content for message in replay(history(path)).messages if message.role == "tool"]
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

    result = await run(path, agent(ToolCall("strange"), "hello", tools=[strange]))

    assert result.output == "hello"
    assert "the result of 'strange' cannot be kept: nan" in replay(history(path)).messages[2].content


async def test_a_commit_that_cannot_be_kept_ends_the_run_and_the_end_says_why(path: Path) -> None:
    """the result alone could be kept, but not with all that is around it; what the model is told could"""

    def large() -> Any:
        return "x" * (9 * 2**20)

    result = await run(path, agent(ToolCall("large", id="c1"), "hello", tools=[large]))

    assert "more than the limit" in (result.termination.detail or "")
    assert reasons(path) == ["run_started", "assistant_turn", "run_finished"]
    assert [message.role for message in replay(history(path)).messages] == ["user", "assistant", "tool"]


async def test_an_end_that_cannot_be_kept_is_an_error_without_output(path: Path) -> None:
    asked: list[str] = []

    def ask(context: Context) -> list[State]:
        asked.append(context.phase.value)
        return [State(Set("/large", "x" * (9 * 2**20)))] if context.phase == "run_end" else []

    result = await run(path, agent("hello", behaviors=[Asking(ask)]))

    assert "more than the limit" in (result.termination.detail or "")
    assert (result.output, state(path), asked.count("run_end")) == (None, {}, 1)


@pytest.mark.parametrize("prompt", ["\ud800", "x" * 2**24])
async def test_a_prompt_that_cannot_be_kept_starts_no_run(path: Path, prompt: str) -> None:
    async with running(path, agent("hello")) as runtime:
        with pytest.raises(ContentError):
            await runtime.start("planner", prompt, thread="t1")

        assert runtime.log.head("t1") == 0
        # The thread is free again.
        assert (await (await runtime.start("planner", "go", thread="t1")).result()).output == "hello"


async def waiting(path: Path, *, behaviors: Any = ()) -> tuple[Agent, anyio.Event]:
    """An agent whose tool waits for ever, and an event that says that it does."""
    started = anyio.Event()

    async def wait() -> None:
        started.set()
        await anyio.sleep_forever()

    return agent(ToolCall("wait", id="c1"), tools=[wait], behaviors=behaviors), started


async def test_a_run_that_goes_on_is_cancelled_when_the_runtime_is_left(path: Path) -> None:
    planner, started = await waiting(path, behaviors=[asking("run_end", Set("/end", 1))])
    async with running(path, planner) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()

    assert_ended(path, await going.result(), Termination(type="cancelled", detail="tools"))
    assert state(path) == {"end": 1}
    call = replay(history(path)).state["__tool_call_scope"]["c1"]["tool_call_state"]
    assert call["status"] == "cancelled"


async def test_a_runtime_that_is_itself_cancelled_cancels_its_runs(path: Path) -> None:
    planner, started = await waiting(path)
    with anyio.CancelScope() as scope:
        async with running(path, planner) as runtime:
            await runtime.start("planner", "go", thread="t1")
            await started.wait()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert reasons(path)[-1] == "run_finished"
    assert_sound(path)


async def test_an_error_in_the_block_of_a_runtime_comes_out_as_itself(path: Path) -> None:
    planner, started = await waiting(path)

    async def block() -> None:
        async with running(path, planner) as runtime:
            await runtime.start("planner", "go", thread="t1")
            await started.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await block()

    assert reasons(path)[-1] == "run_finished"
    assert_sound(path)


def test_an_error_in_the_block_of_a_script_comes_out_as_itself(path: Path) -> None:
    def block() -> None:
        with Runtime.open(path, agents=[agent("hello")], durability="normal") as runtime:
            runtime.run_sync("planner", "go", thread="t1")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block()

    assert_sound(path)


async def test_a_second_run_on_a_busy_thread_is_refused_and_writes_nothing(path: Path) -> None:
    planner, started = await waiting(path)
    async with running(path, planner) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()

        with pytest.raises(
            RunError, match=f"run '{going.run_id}' is running on thread 't1': wait for its end"
        ):
            await runtime.start("planner", "again", thread="t1")

        assert runtime.log.position() == 2


async def test_a_thread_is_free_when_its_run_has_ended(path: Path) -> None:
    async with running(path, agent("one", "two")) as runtime:
        first = await (await runtime.start("planner", "go", thread="t1")).result()
        second = await (await runtime.start("planner", "go", thread="t1")).result()

    assert (first.output, second.output, second.version) == ("one", "two", 6)


async def test_an_agent_that_is_not_there_is_refused_and_nothing_is_written(path: Path) -> None:
    async with running(path, agent("hello"), agent("hi", name="writer")) as runtime:
        with pytest.raises(
            RunError, match=r"there is no agent 'reader' here; there are \['planner', 'writer'\]"
        ):
            await runtime.start("reader", "go", thread="t1")

        assert runtime.log.position() == 0


def test_a_script_is_told_of_refusals_too(path: Path) -> None:
    with (
        Runtime.open(path, agents=[agent("hello")], durability="normal") as runtime,
        pytest.raises(RunError, match="there is no agent 'reader'"),
    ):
        runtime.run_sync("reader", "go")


def test_two_agents_of_one_name_are_refused_and_the_file_is_closed(path: Path) -> None:
    with pytest.raises(DefinitionError, match="two agents have the same name"):
        Runtime.open(path, agents=[agent("a"), agent("b")])


async def test_a_failed_run_leaves_others_alone(path: Path) -> None:
    meeting = anyio.Event()

    async def meet() -> str:
        await meeting.wait()
        return "met"

    good, bad = agent(ToolCall("meet"), tools=[meet]), agent(ValueError("no"), name="bad")
    async with running(path, good, bad) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        failed = await (await runtime.start("bad", [Message(id="m", role="user")], thread="t2")).result()
        meeting.set()
        result = await going.result()

    assert (failed.termination.type, result.output) == ("error", "done")


async def test_of_many_that_start_at_the_same_moment_one_does(path: Path) -> None:
    """in two runtimes, as in two processes: the thread has one active run, and the others are told so"""
    ready = anyio.Event()
    outcomes: list[str] = []

    async def hold() -> None:
        await ready.wait()

    planner = agent(*[ToolCall("hold"), "done"] * 6, tools=[hold])

    async def start(runtime: Runtime) -> None:
        try:
            run = await runtime.start("planner", "go", thread="t1")
            outcomes.append("started")
            ready.set()
            await run.result()
        except ThreadAlreadyRunning as err:
            outcomes.append(err.status)
            if len(outcomes) == 5:
                ready.set()

    async with (
        running(path, planner) as one,
        running(path, planner) as other,
        anyio.create_task_group() as tasks,
    ):
        for runtime in (one, other, one, other, one):
            tasks.start_soon(start, runtime)

    assert outcomes.count("started") >= 1
    own = reasons(path)
    starts = [place for place, reason in enumerate(own) if reason == "run_started"]
    assert all(own[place - 1] == "run_finished" for place in starts[1:])
