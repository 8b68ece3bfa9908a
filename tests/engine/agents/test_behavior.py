"""What behaviors know, and in which order they are asked.

Whatever else a behavior is to know it is given when it is made: a run carries no configuration for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.agents import hanging_agent, scripted_agent
from support.behaviors import PhaseBehavior, act_in
from support.log_reads import read_history
from support.runtimes import open_runtime, run_agent
from support.tools import add, erase
from threadlog.engine import (
    AddContextMessage,
    Agent,
    Behavior,
    Context,
    Decision,
    ExcludeTool,
    State,
    Terminate,
    ToolCall,
)
from threadlog.engine.agents.behavior import PhaseActions
from threadlog.engine.agents.behavior_order import order_behaviors
from threadlog.reducers import Append, Set
from threadlog.store import Log
from threadlog.store.errors import ActionError, DefinitionError

ADD = ToolCall("add", {"a": 1, "b": 2}, "c1")


class Placed(Behavior):
    """A behavior with wishes about its place."""

    def __init__(self, name: str, after: Sequence[str] = (), before: Sequence[str] = ()) -> None:
        self._name = name
        self.after = after
        self.before = before

    @property
    def name(self) -> str:
        return self._name


ORDERS: list[tuple[list[Placed], str]] = [
    ([Placed("a"), Placed("b"), Placed("c")], "abc"),
    ([Placed("a", after=["c"]), Placed("b"), Placed("c")], "bca"),
    ([Placed("a"), Placed("b"), Placed("c", before=["a"])], "bca"),
    ([Placed("a"), Placed("b"), Placed("c", before=["a", "b"])], "cab"),
    ([Placed("a", after=["b"]), Placed("b", after=["c"]), Placed("c")], "cba"),
    ([Placed("a", after=["missing"], before=["missing"]), Placed("b")], "ab"),
    ([Placed("a", after=["a"]), Placed("b", before=["b"])], "ab"),
]


@pytest.mark.parametrize(("behaviors", "order"), ORDERS)
def test_behaviors_stand_as_they_were_given_but_for_their_wishes(behaviors: list[Placed], order: str) -> None:
    """The agent's list gives the order, not the kind of behavior. Wishes about unknown names are ignored."""
    assert "".join(behavior.name for behavior in order_behaviors(behaviors)) == order


@pytest.mark.parametrize(
    "behaviors",
    [
        [Placed("a", after=["b"]), Placed("b", after=["a"])],
        [Placed("a", before=["b"]), Placed("b", before=["a"])],
        [Placed("a", after=["c"]), Placed("x"), Placed("b", after=["a"]), Placed("c", after=["b"])],
    ],
)
def test_wishes_that_go_round_in_a_circle_are_refused(behaviors: list[Placed]) -> None:
    """when the agent is made, before anything is in a log; those outside of the circle are not named"""
    names = sorted(behavior.name for behavior in behaviors if behavior.name != "x")

    with pytest.raises(DefinitionError, match="in a circle: ") as refused:
        scripted_agent(behaviors=behaviors)

    assert str(names) in str(refused.value)


@pytest.mark.anyio
async def test_behaviors_are_asked_in_their_order_and_act_in_it(path: Path) -> None:
    class Late(Placed):
        def run_start(self, context: Context) -> PhaseActions:
            return State(Append("/order", self.name))

    class Early(Late):
        pass

    await run_agent(path, scripted_agent(behaviors=[Late("late", after=["early"]), Early("early")]))

    assert [one.source.split(":")[1] for one in read_history(path)[0].actions[-2:]] == ["early", "late"]


SEEN = [("run_start", 1), ("step_start", 2), ("before_inference", 3), ("after_inference", 4), ("step_end", 5)]


@pytest.mark.anyio
async def test_every_behavior_and_every_phase_sees_the_state_as_it_is(path: Path) -> None:
    """Elsewhere all behaviors of a phase, and two phases of a step, see one old state: the later of two
    writers then undoes what the earlier did. Here an action is reduced when it is asked for."""
    seen: list[tuple[str, int]] = []

    def count(context: Context) -> PhaseActions:
        return State(Set("/n", context.read("/n", 0) + 1))

    def look(context: Context) -> None:
        seen.append((context.phase.value, context.read("/n")))

    await run_agent(
        path, scripted_agent(ADD, behaviors=[PhaseBehavior(count, "count"), PhaseBehavior(look, "look")])
    )

    assert seen[:7] == [*SEEN, ("before_tool_execute", 6), ("after_tool_execute", 7)]
    assert [n for _, n in seen] == list(range(1, len(seen) + 1))


@pytest.mark.anyio
async def test_what_other_behaviors_ask_for_is_not_shown_to_a_behavior(path: Path) -> None:
    """state aside: a context has the agent's own tools and the conversation, whatever the request will be"""
    seen: list[Context] = []
    first = act_in("before_inference", ExcludeTool("add"), AddContextMessage("k", "hush"), name="first")

    await run_agent(path, scripted_agent(behaviors=[first, PhaseBehavior(seen.append)]))

    assert all("add" in context.tools for context in seen)
    assert "hush" not in str([context.messages for context in seen])


@pytest.mark.anyio
async def test_messages_say_which_run_they_are_of(path: Path) -> None:
    """So no count is needed of those that were there before: a behavior picks its run's by their run id."""
    own: list[list[str]] = []

    def pick(context: Context) -> None:
        if context.phase == "run_end":
            own.append([one.content for one in context.messages if one.run_id == context.run_id])

    planner = scripted_agent("one", "two", behaviors=[PhaseBehavior(pick)])
    for prompt in ("first", "second"):
        await run_agent(path, planner, prompt)

    assert own == [["first", "one"], ["second", "two"]]


@pytest.mark.anyio
async def test_a_decision_is_shown_before_the_call_that_it_lets_go_on_and_nowhere_else(path: Path) -> None:
    seen: list[tuple[str, bool]] = []

    def look(context: Context) -> None:
        seen.append((context.phase.value, context.decision is not None))

    planner = scripted_agent(ToolCall("erase", id="c1"), tools=[erase], behaviors=[PhaseBehavior(look)])
    first = await run_agent(path, planner)
    assert first.status == "waiting"
    async with open_runtime(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c1")])
        assert resumed
        await resumed.result()

    assert [phase for phase, decided in seen if decided] == ["before_tool_execute"]


@pytest.mark.anyio
async def test_a_behavior_reads_in_the_scope_in_which_it_writes(path: Path) -> None:
    """what one call keeps is not what another call keeps, nor the run, nor the thread"""
    seen: list[Any] = []

    def look(context: Context) -> None:
        if context.phase == "after_tool_execute":
            kept = [context.read("/note", scope="run"), context.read("/note", scope="tool_call")]
            seen.append([context.read("/note"), *kept])

    def note(context: Context) -> PhaseActions:
        if context.phase != "before_tool_execute" or not context.call:
            return None
        notes = Set("/note", context.call.id, scope="tool_call"), Set("/note", "run", scope="run")
        return [State(one) for one in notes]

    calls = [ADD, ToolCall("add", {"a": 1, "b": 2}, "c.2/~")]
    behaviors = [PhaseBehavior(note, "note"), PhaseBehavior(look)]
    await run_agent(path, scripted_agent(calls, behaviors=behaviors, tool_execution="sequential"))

    assert seen == [[None, "run", "c1"], [None, "run", "c.2/~"]]


@pytest.mark.anyio
async def test_what_a_call_keeps_is_not_read_where_there_is_no_call(path: Path) -> None:
    """Elsewhere that reads, and writes, the same place of the thread instead."""

    def look(context: Context) -> None:
        context.read("/note", scope="tool_call")

    result = await run_agent(path, scripted_agent(behaviors=[act_in("none"), PhaseBehavior(look, "curious")]))

    assert "behavior 'curious' failed in run_start" in (result.termination.detail or "")
    assert "names no tool call" in (result.termination.detail or "")
    assert ActionError.__name__ not in (result.termination.detail or "")


def ending(name: str, seen: list[Any]) -> Agent:
    """An agent whose runs end in one way; `seen` collects what its behaviors see of the end."""

    def look(context: Context) -> Terminate | None:
        if context.phase == "run_end":
            seen.append((context.read("/__run/status"), context.read("/__run/done_reason")))
        ends = name == "behavior_requested" and context.phase == "before_inference"
        return Terminate() if ends else None

    turns: dict[str, Any] = {"error": ValueError("no"), "stopped": ADD, "suspended": ToolCall("erase")}
    tools = [add, erase]
    return scripted_agent(
        turns.get(name, "hello"), behaviors=[PhaseBehavior(look)], tools=tools, max_rounds=1
    )


TOLD_ENDS = {
    "natural_end": ("done", "natural"),
    "behavior_requested": ("done", "behavior_requested"),
    "stopped": ("done", "stopped:max_rounds_reached"),
    "error": ("done", "error"),
    "suspended": ("waiting", None),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", TOLD_ENDS)
async def test_behaviors_are_told_of_every_end_once_and_see_what_it_is(path: Path, name: str) -> None:
    """The index of runs has the end itself, so that there are no other words for it there."""
    seen: list[Any] = []

    result = await run_agent(path, ending(name, seen))

    assert (result.termination.type, seen) == (name, [TOLD_ENDS[name]])
    with Log.open(path, readonly=True) as log:
        (row,) = log.runs()
    assert (row.status, row.termination) == (result.status, result.termination)


@pytest.mark.anyio
async def test_behaviors_are_told_of_the_end_of_a_run_that_is_cancelled(path: Path) -> None:
    seen: list[Any] = []
    waits, started = hanging_agent(behaviors=ending("cancelled", seen).behaviors)
    async with open_runtime(path, waits) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()
        await runtime.cancel(going.run_id)
        result = await going.result()

    assert (seen, result.output) == ([("done", "cancelled")], None)
