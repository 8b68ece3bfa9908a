"""Cancelling a run: where it was, what of it is kept, and what the next run tells the model."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior
from support.checks import assert_sound
from support.effects import CountingEffects
from support.log_reads import read_call_statuses, read_history, read_reasons, read_state
from support.models import recorded_turn, request_messages
from support.retries import model_error
from support.runtimes import open_runtime
from threadlog.engine import Agent, Context, ModelRequest, Run, Runtime, Tool, ToolCall, ToolResult
from threadlog.engine.control import INFERENCE, TOOLS
from threadlog.engine.events.event import RunResult, TextDelta
from threadlog.engine.models.model import FinishPart, Part, TextPart
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Append
from threadlog.store import Log
from threadlog.store.changeset import Interruption, Termination

pytestmark = pytest.mark.anyio

IN_INFERENCE = "This run was cancelled while the model was answering. Continue from here when asked to."
IN_TOOLS = "This run was cancelled while tools were running. Continue from here when asked to."
CALLS = [ToolCall("act", {"name": name}, name) for name in ("a", "b")]


class Hanging:
    """A model that begins to answer and then says nothing more."""

    name = "hanging"

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        yield TextPart("I would")
        await anyio.sleep_forever()
        yield FinishPart()


class Half:
    """A tool: the call `a` ends at once, every other one never."""

    def __init__(self) -> None:
        self.stuck = anyio.Event()

    async def act(self, name: str) -> ToolResult:
        if name != "a":
            self.stuck.set()
            await anyio.sleep_forever()
        return ToolResult("did a", [Append("/did", "a")])


def asking_in(phase: str) -> Interruption:
    return Interruption(kind="behavior", name="behavior", phase=phase)


def cancelled(place: Interruption | None) -> Termination:
    return Termination(type="cancelled", interrupted=place)


async def cancel_at(path: Path, planner: Agent, when: Callable[[Run], Any]) -> RunResult:
    """A run that is cancelled at a given point. A replay does the same."""
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await when(started)
        assert await runtime.cancel(started.run_id)
        result = await started.result()
        assert await replay_run(runtime.log, result.run_id, [planner]) is None
    return result


async def next_request(path: Path) -> list[tuple[str, str]]:
    """What the next run on the thread asks its model."""
    requests: list[ModelRequest] = []
    planner = scripted_agent(recorded_turn(requests, "fine"))
    async with open_runtime(path, planner) as runtime:
        assert (await (await runtime.start("planner", "and now?", thread="t1")).result()).output == "fine"
    return request_messages(requests[0])


async def text_comes(started: Run) -> None:
    async for event in started:
        if isinstance(event, TextDelta):
            return


async def test_a_run_cancelled_while_the_model_answers(path: Path) -> None:
    """what had come of the answer is in the record of the attempt, not in the conversation"""
    result = await cancel_at(path, scripted_agent(model=Hanging()), text_comes)

    assert (result.status, result.termination, result.output) == ("done", cancelled(INFERENCE), None)
    assert read_reasons(path) == ["run_started", "run_finished"]
    inference = read_history(path)[-1].inference
    assert inference is not None
    assert [(attempt.outcome, attempt.text) for attempt in inference.attempts] == [("cancelled", "I would")]
    assert await next_request(path) == [("user", "go"), ("user", IN_INFERENCE), ("user", "and now?")]


async def test_a_run_cancelled_while_tools_work_keeps_what_has_ended(path: Path) -> None:
    """Other systems drop the whole round. What a tool has done is done: the log must not lose it, and the
    model must not do it again."""
    tools = Half()

    async def stuck(started: Run) -> None:
        await tools.stuck.wait()
        await anyio.wait_all_tasks_blocked()

    result = await cancel_at(path, scripted_agent(CALLS, tools=[tools.act]), stuck)

    assert result.termination == cancelled(TOOLS)
    assert read_reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_finished"]
    assert (read_state(path), read_call_statuses(path)) == (
        {"did": ["a"]},
        {"a": "succeeded", "b": "cancelled"},
    )
    assert await next_request(path) == [
        ("user", "go"),
        ("assistant", ""),
        ("tool", "did a"),
        ("tool", "[Tool execution was interrupted before producing a result.]"),
        ("user", IN_TOOLS),
        ("user", "and now?"),
    ]


async def test_what_a_tool_has_done_when_its_run_is_cancelled_is_in_the_log(path: Path) -> None:
    """the call has ended, and waits while the one before it is put into the log"""
    settling, going_on, done = anyio.Event(), anyio.Event(), anyio.Event()

    class Slow(PhaseBehavior):
        async def after_tool_execute(self, context: Context) -> None:
            settling.set()
            await going_on.wait()

    async def act(name: str) -> str:
        if name == "b":
            await settling.wait()
            done.set()
        return name

    planner = scripted_agent(CALLS, tools=[act], behaviors=[Slow(lambda context: None)])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await done.wait()
        await anyio.wait_all_tasks_blocked()
        await runtime.cancel(started.run_id)
        going_on.set()
        await started.result()

    assert read_call_statuses(path) == {"a": "succeeded", "b": "succeeded"}


async def test_a_run_cancelled_as_it_begins_asks_no_model_and_says_nothing_to_it(path: Path) -> None:
    begun, gone_on = anyio.Event(), anyio.Event()
    ids: list[str] = []
    ended: list[RunResult] = []

    async def start(runtime: Runtime) -> None:
        ended.append(await (await runtime.start("planner", "go", thread="t1")).result())

    class Slow(PhaseBehavior):
        async def run_start(self, context: Context) -> None:
            ids.append(context.run_id)
            begun.set()
            await gone_on.wait()

    planner = scripted_agent("never", behaviors=[Slow(lambda context: None)])
    async with open_runtime(path, planner) as runtime:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, runtime)
            await begun.wait()
            assert await runtime.cancel(ids[0])
            gone_on.set()
        assert await replay_run(runtime.log, ids[0], [planner]) is None

    assert ended[0].termination == cancelled(asking_in("run_start"))
    assert read_reasons(path) == ["run_started", "run_finished"]
    assert [m.content for changeset in read_history(path) for m in changeset.messages] == ["go"]


class Cancelling(PhaseBehavior):
    """Cancels its run in one phase of a step, and is not cut off itself."""

    def __init__(self, phase: str, step: int = 0) -> None:
        super().__init__(lambda context: None)
        self.runtime: Runtime | None = None
        self._step = step
        setattr(self, phase, self._cancel)

    async def _cancel(self, context: Context) -> None:
        if self.runtime and context.step == self._step:
            with anyio.CancelScope(shield=True):
                assert await self.runtime.cancel(context.run_id)


async def test_a_run_cancelled_between_two_phases_says_nothing_to_the_model(path: Path) -> None:
    cancelling = Cancelling("step_end")
    planner = scripted_agent(CALLS, tools=[Half().act], behaviors=[cancelling])
    async with open_runtime(path, planner) as runtime:
        cancelling.runtime = runtime
        result = await (await runtime.start("planner", "go", thread="t1")).result()
        cancelling.runtime = None
        assert await replay_run(runtime.log, result.run_id, [planner]) is None

    assert result.termination == cancelled(None)
    assert read_reasons(path) == ["run_started", "assistant_turn", "run_finished"]
    assert read_call_statuses(path) == {"a": "cancelled", "b": "cancelled"}
    assert [role for role, _ in await next_request(path)] == ["user", "assistant", "tool", "tool", "user"]


@pytest.mark.does_not_replay("its behavior cancels the run through the runtime")
async def test_a_cancellation_wins_over_an_answer_that_comes_with_it(path: Path) -> None:
    cancelling = Cancelling("after_inference", step=1)
    planner = scripted_agent(
        ToolCall("act", {"name": "a"}), "the answer", tools=[Half().act], behaviors=[cancelling]
    )
    async with open_runtime(path, planner) as runtime:
        cancelling.runtime = runtime
        result = await (await runtime.start("planner", "go", thread="t1")).result()

    assert (result.termination, result.output) == (cancelled(None), None)
    assert read_history(path)[-2].messages[0].content == "the answer"


async def test_a_run_cancelled_while_it_waits_for_the_next_attempt(path: Path) -> None:
    waits = anyio.Event()

    class Sleeping(CountingEffects):
        async def sleep(self, seconds: float) -> None:
            waits.set()
            await anyio.sleep_forever()

    planner = scripted_agent(model_error("overloaded"), "never")
    async with open_runtime(path, planner, effects=Sleeping()) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await waits.wait()
        await runtime.cancel(started.run_id)
        result = await started.result()
        assert await replay_run(runtime.log, result.run_id, [planner]) is None

    inference = read_history(path)[-1].inference
    assert inference is not None
    assert result.termination == cancelled(INFERENCE)
    assert [attempt.outcome for attempt in inference.attempts] == ["failed"]


@pytest.mark.parametrize("phase", ["step_start", "before_tool_execute"])
async def test_a_run_cancelled_while_a_behavior_asks_the_world(path: Path, phase: str) -> None:
    asks = anyio.Event()

    async def look() -> None:
        asks.set()
        await anyio.sleep_forever()

    async def ask(context: Context) -> None:
        await context.effect("weather", look)

    curious = PhaseBehavior(lambda context: None)
    setattr(curious, phase, ask)
    result = await cancel_at(path, scripted_agent(CALLS, behaviors=[curious]), lambda _: asks.wait())

    assert result.termination == cancelled(asking_in(phase))
    assert not any(changeset.tool_calls for changeset in read_history(path))


async def test_a_run_that_is_cancelled_twice_ends_once(path: Path) -> None:
    planner = scripted_agent(model=Hanging())
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await text_comes(started)
        assert await runtime.cancel(started.run_id)
        await runtime.cancel(started.run_id)
        await started.result()
        assert not await runtime.cancel(started.run_id)

    assert read_reasons(path).count("run_finished") == 1


async def test_a_run_that_goes_on_elsewhere_is_cancelled_there(path: Path) -> None:
    async with open_runtime(path, scripted_agent(model=Hanging())) as one, open_runtime(path) as other:
        started = await one.start("planner", "go", thread="t1")
        assert await other.cancel(started.run_id)
        result = await started.result()

    assert result.termination.type == "cancelled"
    assert read_reasons(path) == ["run_started", "run_finished"]


async def left(path: Path, tools: Half) -> None:
    """A runtime that is left, by a cancellation around it, while a run is in its tools."""
    with anyio.CancelScope() as scope:
        async with Runtime.open(
            path, agents=[scripted_agent(CALLS, tools=[tools.act])], durability="normal"
        ) as runtime:
            await runtime.start("planner", "go", thread="t1")
            await tools.stuck.wait()
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()


async def test_a_run_that_is_left_with_its_runtime_ends_as_any_cancelled_one(path: Path) -> None:
    await left(path, Half())

    assert_sound(path)
    last = read_history(path)[-1]
    assert last.run is not None
    assert last.run.termination == cancelled(TOOLS)
    assert last.messages[0].content == IN_TOOLS
    with Log.open(path, readonly=True) as log:
        assert (
            await replay_run(log, read_history(path)[0].run_id or "", [scripted_agent(tools=[Half().act])])
            is None
        )


async def test_a_run_that_begins_while_the_runtime_is_left_is_cancelled(tmp_path: Path) -> None:
    """A tool that is interrupted and still starts a run does not block the runtime."""
    path, at_work = tmp_path / "log.db", anyio.Event()

    async def act() -> None:
        at_work.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await runtime.start("sleeper", "go", thread="t2")

    planner, sleeper = scripted_agent(ToolCall("act"), tools=[Tool(act)]), Agent("sleeper", Hanging())
    with anyio.fail_after(10):
        async with open_runtime(path, planner, sleeper) as runtime:
            await runtime.start("planner", "go", thread="t1")
            await at_work.wait()

    with Log.open(path, readonly=True) as log:
        assert [(row.agent, row.status) for row in log.runs()] == [("planner", "done"), ("sleeper", "done")]
