"""Behaviors that wait when their run is cancelled or left: what is kept of them, and that it is exact."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import scripted_agent
from support.behaviors import PHASES, act_in
from support.checks import assert_replays
from support.log_reads import read_call_statuses, read_history, read_reasons, read_state
from support.runtimes import open_runtime, run_agent
from threadlog.engine import Agent, Behavior, Context, Runtime, ScriptedModel, State, ToolCall
from threadlog.reducers import Set
from threadlog.store.changeset import Changeset, EffectRecord, Interruption, RunStatus, Termination

pytestmark = pytest.mark.anyio

CALLS = [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("spend", {"amount": 3}, "c2")]
TOLD = ("after_tool_execute", "run_end")
"""Phases in which the first cancellation waits for behaviors."""

Hang = Callable[[Context, Callable[[], Any]], Any]


async def in_effect(context: Context, hang: Callable[[], Any]) -> None:
    await context.effect("hang", hang)


async def by_itself(context: Context, hang: Callable[[], Any]) -> None:
    await hang()


class Hanging(Behavior):
    """Asks the world in one phase, is answered, and then waits for ever."""

    name = "hanging"

    def __init__(self, phase: str, hang: Hang = in_effect) -> None:
        self.waits = anyio.Event()
        self._hang = hang
        setattr(self, phase, self._ask)

    async def _ask(self, context: Context) -> None:
        assert await context.effect("ask", self._answer) == 42
        await self._hang(context, self._wait)

    async def _answer(self) -> int:
        return 42

    async def _wait(self) -> None:
        self.waits.set()
        await anyio.sleep_forever()


def planner(hanging: Hanging, *behaviors: Behavior, **fields: Any) -> Agent:
    return scripted_agent(CALLS, "hello", behaviors=[*behaviors, hanging], **fields)


async def started(runtime: Runtime) -> None:
    """A run that continues until it hangs, perhaps before it has started."""
    await runtime.start("planner", "go", thread="t1")


async def cut(path: Path, hanging: Hanging, *behaviors: Behavior, **fields: Any) -> Changeset:
    """A runtime that is left while a run of it hangs: the last changeset."""
    one = planner(hanging, *behaviors, **fields)
    with anyio.fail_after(10):
        async with open_runtime(path, one) as runtime, anyio.create_task_group() as tasks:
            tasks.start_soon(started, runtime)
            await hanging.waits.wait()
            tasks.cancel_scope.cancel()
    return read_history(path)[-1]


async def cancelled_around(path: Path, hanging: Hanging, *behaviors: Behavior, **fields: Any) -> Changeset:
    """The same, by a cancellation of everything."""
    one = planner(hanging, *behaviors, **fields)
    with anyio.fail_after(10), anyio.CancelScope() as scope:
        async with (
            Runtime.open(path, agents=[one], durability="normal") as runtime,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(started, runtime)
            await hanging.waits.wait()
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()
    await assert_replays(path, one)
    return read_history(path)[-1]


@pytest.mark.parametrize("left", [cut, cancelled_around])
@pytest.mark.parametrize("hang", [in_effect, by_itself])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_runtime_is_left_whatever_a_behavior_waits_for(
    path: Path, phase: str, hang: Hang, left: Any
) -> None:
    """the run ends, the log says who was cut off where, and today's code does the same again

    What was asked of the world is kept, answered or not; nothing else is, of any behavior in that phase.
    """
    dropped = act_in(phase, Set("/dropped", True), name="before")

    last = await left(path, Hanging(phase, hang), dropped)

    assert last.run is not None
    assert last.run.status == "done"
    asked = EffectRecord(name="hanging:ask", answer=42)
    unanswered = [EffectRecord(name="hanging:hang", cancelled=True)] if hang is in_effect else []
    where = next(one for one in read_history(path) if one.cut_off)
    assert where.cut_off == (interruption(phase),)
    assert list(where.effects) == [asked, *unanswered]
    assert "dropped" not in read_state(path)


def interruption(phase: str) -> Interruption:
    return Interruption(kind="behavior", name="hanging", phase=phase)


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase not in TOLD])
async def test_cancelling_reaches_a_behavior_that_waits(path: Path, phase: str) -> None:
    """The end names what was awaited. The model reads no note: it was not interrupted, nor was a tool."""
    hanging = Hanging(phase)
    with anyio.fail_after(10):
        async with open_runtime(path, planner(hanging)) as runtime, anyio.create_task_group() as tasks:
            tasks.start_soon(started, runtime)
            await hanging.waits.wait()
            (active,) = runtime._parts.environment.executions.active()
            assert await runtime.cancel(active.run_id)
            result = await runtime.get_run(active.run_id).result()

    assert result.termination == Termination(type="cancelled", interrupted=interruption(phase))
    assert [one.role for one in read_history(path)[-1].messages if one.role == "user"] == []
    answered = phase in ("after_inference", "step_end")
    assert [one.content for one in read_history(path)[-1].messages] == [""] * answered


@pytest.mark.parametrize("phase", TOLD)
async def test_a_cancelled_run_lets_those_finish_that_are_told_of_an_end(path: Path, phase: str) -> None:
    """what they do is about something that has happened; cancelled twice, the run does without it"""
    hanging = Hanging(phase)
    with anyio.fail_after(10):
        async with open_runtime(path, planner(hanging, tool_execution="sequential")) as runtime:
            going = await runtime.start("planner", "go", thread="t1")
            await hanging.waits.wait()
            assert await runtime.cancel(going.run_id)
            await anyio.wait_all_tasks_blocked()
            assert runtime.log.runs("t1")[0].status == "running"
            assert await runtime.cancel(going.run_id)
            result = await going.result()

    if phase == "run_end":
        # It wins over an end that is not in the log yet.
        assert (result.termination, result.output) == (Termination(type="cancelled"), None)
    else:
        assert result.termination.type == "cancelled"
        assert read_call_statuses(path) == {"c1": "succeeded", "c2": "cancelled"}


async def test_a_tool_that_has_ended_is_in_the_log_though_nobody_could_be_told(path: Path) -> None:
    """its own state changes, too"""
    await cut(path, Hanging("after_tool_execute"), model=ScriptedModel(CALLS[1], "never"))

    assert read_reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_finished"]
    assert (read_call_statuses(path), read_state(path)["budget"]["spent"]) == ({"c2": "succeeded"}, 3)


@pytest.mark.parametrize("left", [cut, cancelled_around])
async def test_no_tool_was_cut_off_if_all_had_ended(path: Path, left: Any) -> None:
    """Their results were not in the log yet when the runtime was left, so the model reads no note."""
    hanging = Hanging("after_tool_execute", by_itself)

    async def act(name: str) -> str:
        if name == "b":
            await hanging.waits.wait()
        return name

    calls = [ToolCall("act", {"name": name}, name) for name in ("a", "b")]
    await left(path, hanging, model=ScriptedModel(calls, "never"), tools=[act])

    assert read_call_statuses(path) == {"a": "succeeded", "b": "succeeded"}
    assert read_history(path)[-1].run == RunStatus(status="done", termination=Termination(type="cancelled"))
    assert read_history(path)[-1].messages == ()


async def test_a_behavior_may_stop_waiting_by_itself(path: Path) -> None:
    """The missing answer is in the log, and a replay gives the same."""

    class Impatient(Behavior):
        async def step_start(self, context: Context) -> State:
            answer = "nothing"
            with anyio.move_on_after(0):
                answer = await context.effect("slow", anyio.sleep_forever)
            return State(Set("/answer", answer))

    result = await run_agent(path, scripted_agent("hello", behaviors=[Impatient()]))

    assert (result.output, read_state(path)) == ("hello", {"answer": "nothing"})
    assert read_history(path)[1].effects == (EffectRecord(name="Impatient:slow", cancelled=True),)
    assert read_history(path)[1].cut_off == ()
