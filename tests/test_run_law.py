from functools import partial
from itertools import pairwise
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st
from runs import (
    REDUCERS,
    Asking,
    Count,
    Spend,
    add,
    any_actions,
    fail,
    fresh_path,
    history,
    running,
)
from strategies import json

from threadlog.engine import Agent, Context, Runtime, ScriptedModel, State, ToolCall, ToolResult, Turn
from threadlog.engine.events import RunResult
from threadlog.reducers import Append, Delete, Increment, Merge, Set, StateAction, replay
from threadlog.reducers.phase import Phase
from threadlog.store import Changeset
from threadlog.store.document import same

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

calls = st.builds(
    ToolCall,
    st.sampled_from(["add", "add", "fail", "act", "act", "nowhere"]),
    st.fixed_dictionaries({"a": st.integers(0, 1), "b": st.integers(0, 1)}) | st.just({}) | json,
    st.sampled_from(["", "", "c1", "c.2/~"]),
)
turns = st.lists(
    st.text(max_size=5)
    | st.lists(calls, min_size=1, max_size=3)
    | st.builds(Turn, text=st.text(max_size=3), tool_calls=st.lists(calls, max_size=2))
    | st.just(ValueError("no luck")),
    min_size=1,
    max_size=4,
)

FOLLOWS = {
    Phase.RUN_START: {Phase.STEP_START},
    Phase.STEP_START: {Phase.BEFORE_INFERENCE},
    Phase.BEFORE_INFERENCE: {Phase.AFTER_INFERENCE},
    Phase.AFTER_INFERENCE: {Phase.STEP_END},
    Phase.STEP_END: {Phase.BEFORE_TOOL_EXECUTE},
    Phase.BEFORE_TOOL_EXECUTE: {Phase.AFTER_TOOL_EXECUTE},
    Phase.AFTER_TOOL_EXECUTE: {Phase.BEFORE_TOOL_EXECUTE, Phase.STEP_START},
    Phase.RUN_END: set(),
}
"""What may come behind a phase; the end behind every one."""


@st.composite
def agents(draw: st.DrawFn, seen: list[Phase]) -> Agent:
    """An agent whose model, tools and behaviors do what was drawn; `seen` gets the phases."""
    acts = iter(draw(st.lists(actions, min_size=1, max_size=4)))
    asks = draw(st.dictionaries(st.sampled_from(list(Phase)), actions, max_size=3))

    async def act() -> ToolResult:
        return ToolResult("acted", next(acts, []))

    def ask(context: Context) -> list[State]:
        return [State(action) for action in asks.get(context.phase, [])]

    def start(context: Context) -> list[State]:
        seen.append(context.phase)
        begins = context.phase == Phase.RUN_START and context.read("/n") is None
        return [State(Merge("", DOCUMENT))] if begins else []

    return Agent(
        "planner",
        ScriptedModel(*draw(turns)),
        tools=[add, fail, act],
        behaviors=[Asking(start, "start"), Asking(ask, "drawn")],
        reducers=REDUCERS,
    )


async def completed(runtime: Runtime, seen: list[Phase]) -> RunResult:
    """One run to its end, with what holds of every run."""
    seen.clear()
    result = await (await runtime.start("planner", "go", thread="t1")).result()

    assert result.version == runtime.log.head("t1")
    assert same(replay(runtime.log.read("t1")).state, runtime.state("t1"))
    assert runtime.state("t1")["__run"]["status"] == "done"
    assert (seen[0], seen[-1]) == (Phase.RUN_START, Phase.RUN_END)
    assert all(after in FOLLOWS[phase] | {Phase.RUN_END} for phase, after in pairwise(seen))
    assert_answered(list(runtime.log.read_run(result.run_id)), result)
    return result


def assert_answered(changesets: list[Changeset], result: RunResult) -> None:
    """The calls of the model are answered in order, and all of them if the run came to its natural end."""
    messages = [message for changeset in changesets for message in changeset.messages]
    asked = [call.id for message in messages for call in message.tool_calls]
    answered = [message.tool_call_id for message in messages if message.role == "tool"]
    assert answered == asked[: len(answered)]
    assert result.termination.type != "natural_end" or answered == asked


@given(st.data(), st.sampled_from(["asyncio", "trio"]))
def test_every_run_leaves_a_sound_log_whatever_it_does(data: st.DataObject, backend: str) -> None:
    """verify() == check_reducers() == [], replay gives the state, phases and answers are in order"""
    seen: list[Phase] = []
    planner = data.draw(agents(seen))

    async def twice(path: Any) -> list[RunResult]:
        async with running(path, planner) as runtime:
            return [await completed(runtime, seen) for _ in range(2)]

    with fresh_path() as path:
        results = anyio.run(partial(twice, path), backend=backend)

        ends = [one.run.termination for one in history(path) if one.run and one.run.status == "done"]
        assert ends == [result.termination for result in results]
