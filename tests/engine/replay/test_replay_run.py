"""A recorded run executed again: nothing is called, and the log answers instead of the world."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import approval_agent, scripted_agent
from support.behaviors import PhaseBehavior, act_in
from support.effects import CountingEffects
from support.log_reads import read_history
from support.recordings import TURNS, find_divergence, recorded_agent, replay_with
from support.runtimes import open_runtime, run_agent
from support.tool_rounds import OrderedTool, named_calls
from support.tools import ERASE, add, erase
from threadlog.engine import (
    Block,
    Context,
    Decision,
    ModelAnswer,
    RetryPolicy,
    ScriptedModel,
    State,
    SystemEffects,
    Tool,
    ToolCall,
    ToolResult,
)
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Append, Divergence, Set
from threadlog.reducers.check import NotChecked
from threadlog.store import Log
from threadlog.store.changeset import Usage
from threadlog.store.errors import EffectError, NotFound

pytestmark = pytest.mark.anyio


async def test_nothing_is_called_during_a_replay(path: Path) -> None:
    called: list[int] = []

    def note(n: int) -> ToolResult:
        called.append(n)
        return ToolResult(n, [Append("/called", n)])

    class Once(ScriptedModel):
        def stream(self, request: Any) -> Any:
            called.append(0)
            return super().stream(request)

    planner = scripted_agent(tools=[note], model=Once([ToolCall("note", {"n": n}) for n in (1, 2)], "hello"))
    await run_agent(path, planner)
    before = sorted(called)

    assert await replay_with(path, planner) is None
    assert sorted(called) == before == [0, 0, 1, 2]


async def test_a_replay_takes_no_time_and_makes_no_ids(path: Path) -> None:
    """A run with real waits between its attempts is replayed from the log alone."""
    planner = scripted_agent(TimeoutError("late"), *TURNS, retry=RetryPolicy(backoff=0))

    await run_agent(path, planner, effects=SystemEffects())

    assert await replay_with(path, planner) is None


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
async def test_the_calls_of_a_round_end_in_the_logged_order(path: Path, order: list[str]) -> None:
    planner = scripted_agent(named_calls("a", "b"), tools=[OrderedTool(*order).act])
    await run_agent(path, planner)

    assert await replay_with(path, planner) is None


async def test_calls_that_cannot_end_in_the_logged_order_are_a_divergence(path: Path) -> None:
    """It does not wait forever for what cannot happen."""
    planner = scripted_agent(
        named_calls("a", "b"),
        tools=[OrderedTool("b", "a").act],
        behaviors=[PhaseBehavior(lambda context: None)],
    )
    await run_agent(path, planner)

    with anyio.fail_after(10):
        found = await replay_with(path, replace(planner, behaviors=[BlockB()]))
    assert isinstance(found, Divergence)
    assert (found.version, found.pointer) == (3, "/actions/0/action")


class BlockB(PhaseBehavior):
    def __init__(self) -> None:
        super().__init__(lambda context: None)

    def before_tool_execute(self, context: Context) -> Any:
        return Block("no") if context.call and context.call.id == "b" else None


async def test_all_epochs_of_a_run_are_replayed(path: Path) -> None:
    planner = approval_agent(ERASE, "gone")
    first = await run_agent(path, planner)
    async with open_runtime(path, planner) as runtime:
        assert await replay_run(runtime.log, first.run_id, [planner]) is None
        resumed = await runtime.decide(first.run_id, [Decision.deny("c1", "no", by="me")])
        assert resumed
        await resumed.result()

    assert await replay_with(path, planner) is None
    found = await replay_with(path, approval_agent(instructions="other"))
    assert isinstance(found, Divergence)
    free = approval_agent(tools=[_free(), add])
    assert isinstance(await replay_with(path, free), Divergence)


def _free() -> Any:
    async def unasked(amount: int = 0) -> str:
        """Erase."""
        return "erased"

    unasked.__name__ = erase.name
    return Tool(unasked)


async def test_a_run_of_an_unknown_agent_is_not_checked(path: Path) -> None:
    await run_agent(path, recorded_agent())

    found = await replay_with(path, recorded_agent(name="writer"))

    assert isinstance(found, NotChecked)
    assert (found.thread_id, found.version) == ("t1", 1)
    assert "agent 'planner' is unknown" in str(found)


async def test_an_active_run_is_not_checked(path: Path) -> None:
    reached = anyio.Event()

    async def wait() -> None:
        reached.set()
        await anyio.sleep_forever()

    planner = scripted_agent(ToolCall("wait"), tools=[wait])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await reached.wait()
        found = await replay_run(runtime.log, started.run_id, [planner])

    assert isinstance(found, NotChecked)
    assert "the run has not ended" in str(found)


async def test_an_unknown_run_is_refused(path: Path) -> None:
    await run_agent(path, recorded_agent())

    with Log.open(path, readonly=True) as log, pytest.raises(NotFound):
        await replay_run(log, "r9", [recorded_agent()])


class Weather(PhaseBehavior):
    """Asks the world, and does as it says; if the world does not answer, it says that."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(lambda context: None)
        self.asked = 0
        self._answers = list(answers)

    async def _look(self) -> Any:
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def step_start(self, context: Context) -> State:
        try:
            return State(Set("/weather", await context.effect("weather", self._look)))
        except EffectError as err:
            return State(Set("/weather", f"unknown: {err}"))


MODEL_ANSWER = ModelAnswer("rain", Usage(input_tokens=3))


@pytest.mark.parametrize(
    "answer", ["rain", {"b": 1, "a": [1.5]}, None, ValueError("no luck"), math.nan, MODEL_ANSWER]
)
async def test_the_effects_of_behaviors_are_served_from_the_log(path: Path, answer: Any) -> None:
    weather = Weather(answer, "sun")
    planner = recorded_agent(behaviors=[weather])
    await run_agent(path, planner)

    assert await replay_with(path, planner) is None
    assert weather.asked == 2
    assert [effect.name for changeset in read_history(path) for effect in changeset.effects] == [
        "behavior:weather"
    ] * 2


async def test_two_effects_before_one_commit_are_served_in_order(path: Path) -> None:
    class Twice(Weather):
        async def step_start(self, context: Context) -> State:
            return State(Set("/weather", [await context.effect("weather", self._look) for _ in range(2)]))

    planner = recorded_agent(behaviors=[Twice("rain", "sun", "snow", "fog")])
    await run_agent(path, planner)

    assert await replay_with(path, planner) is None


async def test_a_new_effect_is_a_divergence(path: Path) -> None:
    found = await find_divergence(
        path,
        recorded_agent(behaviors=[act_in("none", name="behavior")]),
        recorded_agent(behaviors=[Weather()]),
    )

    assert (found.version, found.logged, found.now) == (2, "assistant_turn", "effect 'behavior:weather'")


async def test_a_dropped_effect_is_a_divergence(path: Path) -> None:
    today = recorded_agent(behaviors=[act_in("step_start", Set("/weather", "rain"), name="behavior")])

    found = await find_divergence(path, recorded_agent(behaviors=[Weather("rain", "rain")]), today)

    assert (found.version, found.pointer) == (2, "/effects")


async def test_runs_on_counted_and_on_real_effects_both_replay(path: Path) -> None:
    await run_agent(path, recorded_agent(), effects=CountingEffects())

    assert await replay_with(path, recorded_agent()) is None
