"""Agents, decisions and cancellations as hypothesis draws them: what the law of runs is tried on."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from hypothesis import strategies as st

from support.action_strategies import any_actions
from support.behaviors import PhaseBehavior
from support.reducers import REDUCERS, Count, Spend
from support.strategies import json
from support.tools import add, fail
from threadlog.engine import (
    AddContextMessage,
    AddMessage,
    Agent,
    Behavior,
    Block,
    Context,
    Decision,
    ExcludeTool,
    IncludeOnlyTools,
    ModelError,
    ModelRequest,
    OverrideInference,
    Runtime,
    ScriptedModel,
    SetToolResult,
    State,
    Suspend,
    Terminate,
    ToolCall,
    ToolContext,
    ToolResult,
    Turn,
    tool,
)
from threadlog.engine.agents.actions import PhaseAction
from threadlog.engine.agents.behavior import PhaseActions
from threadlog.engine.agents.stop_policy import (
    ConsecutiveErrors,
    ContentMatch,
    LoopDetection,
    StopOnTool,
    StopPolicy,
)
from threadlog.engine.models.model import Part, TextPart, ToolCallDelta
from threadlog.reducers import Append, Delete, Increment, Merge, Set, StateAction
from threadlog.reducers.phase import Phase
from threadlog.reducers.tool_call import ResumeMode
from threadlog.store.changeset import Termination
from threadlog.store.errors import EffectError

DOCUMENT = {"n": 1, "list": [1, 2], "object": {"a": 1}}

SAFE: st.SearchStrategy[StateAction] = st.one_of(
    st.builds(Set, st.sampled_from(["/a", "/b/c", "/object/a"]), json),
    st.builds(Append, st.just("/list"), json),
    st.builds(Merge, st.just("/object"), st.dictionaries(st.sampled_from("ab"), json, max_size=2)),
    st.builds(Delete, st.sampled_from(["/a", "/b", "/nothing"])),
    st.builds(Increment, st.just("/n"), st.integers(-2, 2)),
    st.builds(Spend, amount=st.integers(0, 9)),
    st.builds(Set, st.just("/note"), json, scope=st.just("run")),
    st.just(Count()),
)
"""Actions that fit whatever runs have made of the document so far."""

actions = st.lists(SAFE | SAFE | SAFE | any_actions(DOCUMENT), min_size=1, max_size=2)

IDS = ["", "", "c1", "c2", "c.3/~"]
calls = st.builds(
    ToolCall,
    st.sampled_from(["add", "fail", "act", "act", "act", "ask", "erase", "hang", "nowhere"]),
    st.fixed_dictionaries({"a": st.integers(0, 1), "b": st.integers(0, 1)}) | st.just({}) | json,
    st.sampled_from(IDS),
)
errors = st.builds(ModelError, st.sampled_from(["server", "timeout", "auth"]), st.just("no luck"))
turns = st.lists(
    st.text(max_size=5)
    | st.lists(calls, min_size=1, max_size=3)
    | st.lists(calls, min_size=1, max_size=3)
    | st.builds(Turn, text=st.text(max_size=3), tool_calls=st.lists(calls, max_size=2))
    | st.builds(Turn, text=st.text(max_size=3), finish_reason=st.just("length"))
    | errors
    | st.just(ValueError("no luck"))
    | st.sampled_from(["breaks off", "hangs", "breaks in a call"]).map(lambda how: (how,)),
    min_size=1,
    max_size=5,
)


class DrawnModel:
    """Answers as drawn: it may fail, break off, or say nothing more."""

    name = "drawn"

    def __init__(self, turns: Sequence[Any]) -> None:
        self._turns = iter(turns)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        turn = next(self._turns, "done")
        await anyio.lowlevel.checkpoint()
        if turn in (("breaks off",), ("hangs",), ("breaks in a call",)):
            yield TextPart("I ")
            if turn == ("hangs",):
                yield TextPart("hang")
                await anyio.sleep_forever()
            if turn == ("breaks in a call",):
                yield ToolCallDelta("add", "{")
            raise ModelError("connection", "broken off")
        async for part in ScriptedModel(turn).stream(request):
            yield part


suspends = st.builds(
    Suspend,
    st.just("approve"),
    resume_mode=st.sampled_from(
        list[ResumeMode](["replay_tool_call", "use_decision_as_tool_result", "pass_decision_to_tool"])
    ),
)
states = st.builds(State, SAFE | SAFE | SAFE | any_actions(DOCUMENT))
terminations = st.builds(
    Terminate,
    st.sampled_from([Termination(type="behavior_requested"), Termination(type="stopped", code="drawn")]),
)
BY_PHASE: dict[Phase, st.SearchStrategy[PhaseAction]] = {
    Phase.BEFORE_INFERENCE: states
    | st.builds(AddContextMessage, st.just("k"), st.text(max_size=2), cooldown=st.integers(0, 2))
    | st.builds(ExcludeTool, st.just("add"))
    | st.builds(IncludeOnlyTools, st.just(["act"]))
    | st.builds(OverrideInference, temperature=st.just(0.5))
    | terminations,
    Phase.AFTER_INFERENCE: states | states | terminations,
    Phase.BEFORE_TOOL_EXECUTE: states | st.builds(Block) | st.builds(SetToolResult, json) | suspends,
    Phase.AFTER_TOOL_EXECUTE: states
    | st.builds(AddMessage, st.text(max_size=2), st.sampled_from(["system", "user"])),
}
asks = st.dictionaries(
    st.tuples(st.sampled_from(list(Phase)), st.integers(0, 2)), st.none(), max_size=4
).flatmap(
    lambda keys: st.fixed_dictionaries(
        {key: st.lists(BY_PHASE.get(key[0], states), min_size=1, max_size=2) for key in keys}
    )
)
"""What a behavior asks for, by phase and step."""

policies: st.SearchStrategy[StopPolicy] = st.sampled_from(
    [StopOnTool("act"), LoopDetection(2), ConsecutiveErrors(1), ContentMatch("a")]
)


@tool(needs_approval=True)
async def erase(a: int = 0, b: int = 0) -> ToolResult:
    """Erase."""
    return ToolResult("erased", [Increment("/n")])


async def ask(context: ToolContext, a: int = 0, b: int = 0) -> ToolResult:
    """Asks a person before it does anything."""
    return ToolResult("asked", suspend=Suspend("ask") if context.decision is None else None)


async def hang(a: int = 0, b: int = 0) -> None:
    """Never ends."""
    await anyio.sleep_forever()


class Curious(Behavior):
    """Asks the world as drawn. Where it hangs its run is cancelled: twice, for an end outlasts the first."""

    def __init__(self, asks: Mapping[tuple[Phase, int], str]) -> None:
        self.runtime: Runtime | None = None
        self._asks = asks

    async def run_start(self, context: Context) -> PhaseActions:
        how = self._asks.get((context.phase, context.step))
        if how is None:
            return None
        try:
            return State(Set("/asked", await context.effect(how, partial(self._world, how, context.run_id))))
        except EffectError as err:
            return State(Set("/asked", str(err)))

    step_start = before_inference = after_inference = step_end = run_start
    before_tool_execute = after_tool_execute = run_end = run_start

    async def _world(self, how: str, run_id: str) -> str:
        if how == "fails":
            raise ValueError("no luck")
        if how == "hangs" and self.runtime:
            for _ in range(2):
                await self.runtime.cancel(run_id)
            await anyio.sleep_forever()
        return how


questions = st.dictionaries(
    st.tuples(st.sampled_from(list(Phase)), st.integers(0, 2)),
    st.sampled_from(["answers", "fails", "hangs"]),
    max_size=3,
)
"""What a behavior asks the world, by phase and step."""


@st.composite
def agents(draw: st.DrawFn, seen: list[Phase]) -> Agent:
    """An agent whose model, tools and behaviors do what was drawn; `seen` gets the phases."""
    acts = iter(draw(st.lists(actions, min_size=1, max_size=4)))
    asked = draw(asks)

    async def act(a: int = 0, b: int = 0) -> ToolResult:
        messages = [AddMessage("acted", "user")] if a else []
        return ToolResult("acted", next(acts, []), messages)

    def behave(context: Context) -> list[PhaseAction]:
        return list(asked.get((context.phase, context.step), []))

    def start(context: Context) -> list[State]:
        seen.append(context.phase)
        begins = context.phase == Phase.RUN_START and context.read("/n") is None
        return [State(Merge("", DOCUMENT))] if begins else []

    return Agent(
        "planner",
        DrawnModel(draw(turns)),
        tools=[add, fail, act, erase, ask, hang],
        behaviors=[PhaseBehavior(start, "start"), Curious(draw(questions)), PhaseBehavior(behave, "drawn")],
        reducers=REDUCERS,
        tool_execution=draw(
            st.sampled_from(["parallel", "parallel", "sequential", "parallel_batch_approval"])
        ),
        max_rounds=draw(st.sampled_from([0, 2, 10])),
        stop_when=draw(st.lists(policies, max_size=1)),
    )


targets = st.sampled_from(["c1", "c2", "c.3/~", "elsewhere"])
decisions = st.builds(Decision, targets, st.booleans(), st.sampled_from([None, True, {"a": 1}, "x"]))
moves = st.lists(st.none() | st.none() | st.sampled_from(["cancel", "be brief"]) | decisions, max_size=12)
"""What happens to a run from outside, one thing after each of its events."""

answers = st.lists(st.booleans(), min_size=0, max_size=6)
"""What a person says to whatever is asked, one answer after the other."""
