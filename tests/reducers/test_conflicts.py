"""Calls of one round that write to the same place of the state."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior
from support.log_reads import read_call_statuses, read_history, read_state
from support.reducers import Count, Spend
from support.runtimes import run_agent
from support.tool_rounds import INITIAL_STATE, OrderedTool, named_calls
from threadlog.engine import Context, State, ToolResult
from threadlog.reducers import Append, Delete, Increment, Insert, Merge, Remove, Set, StateAction, replay
from threadlog.reducers.conflict import Write, conflict

pytestmark = pytest.mark.anyio


async def acted(path: Path, first: list[StateAction], second: list[StateAction], **fields: Any) -> Any:
    """A round of two calls that both act; the first ends first. The state then, without the lists' owner."""
    acts = {"a": first, "b": second}
    relay = OrderedTool("a", "b")

    async def act(name: str) -> ToolResult:
        await relay.act(name)
        return ToolResult(f"did {name}", acts[name])

    await run_agent(
        path, scripted_agent(named_calls("a", "b"), tools=[act], behaviors=[INITIAL_STATE], **fields)
    )
    return read_state(path)


TOGETHER: list[tuple[list[StateAction], list[StateAction], str, Any]] = [
    ([Increment("/n")], [Increment("/n")], "n", 2),
    ([Append("/list", 3)], [Append("/list", 4)], "list", [1, 2, 3, 4]),
    ([Merge("/m", {"a": 1})], [Merge("/m", {"b": 2})], "m", {"a": 1, "b": 2}),
    ([Set("/m/a", 1)], [Set("/m/b", 2)], "m", {"a": 1, "b": 2}),
    ([Remove("/list", 1)], [Remove("/list", 2)], "list", []),
    ([Spend(amount=1)], [Spend(amount=2)], "budget", {"spent": 3, "items": ["something"] * 2}),
    ([Increment("/n"), Increment("/n")], [Increment("/n")], "n", 3),
]


@pytest.mark.parametrize(("first", "second", "key", "value"), TOGETHER)
async def test_actions_of_one_round_are_reduced_on_what_the_earlier_ones_left(
    path: Path, first: list[StateAction], second: list[StateAction], key: str, value: Any
) -> None:
    document = await acted(path, first, second)

    assert read_call_statuses(path) == {"a": "succeeded", "b": "succeeded"}
    assert document[key] == value


CONFLICTS: list[tuple[list[StateAction], list[StateAction]]] = [
    ([Set("/n", 5)], [Set("/n", 6)]),
    ([Set("/n", 0)], [Set("/n", 0)]),
    ([Increment("/n")], [Set("/n", 6)]),
    ([Set("/n", 5)], [Increment("/n")]),
    ([Set("/m", {})], [Set("/m/deep/er", 1)]),
    ([Merge("/m", {"a": 1})], [Delete("/m")]),
    ([Insert("/list", 0, 0)], [Append("/list", 3)]),
    ([Append("/list", 3)], [Insert("/list", 0, 0)]),
    ([Set("/note", 1, scope="run")], [Set("/note", 2, scope="run")]),
    ([Spend(amount=1)], [Set("/budget", {})]),
]


@pytest.mark.parametrize(("first", "second"), CONFLICTS)
async def test_a_conflicting_write_fails_the_later_call_and_applies_nothing_of_it(
    path: Path, first: list[StateAction], second: list[StateAction]
) -> None:
    """The run continues and the other calls count: if a conflict ended the run, no record of the effects of
    its tools would exist. Refused actions are not in the log."""
    await acted(path, first, [Append("/half", 1), *second, Append("/half", 2)])

    later = read_history(path)[3]
    assert read_call_statuses(path) == {"a": "succeeded", "b": "failed"}
    assert "half" not in read_state(path)
    assert [action.source for action in later.actions] == ["agent_loop"]
    error = later.tool_calls[0].result
    assert isinstance(error, dict)
    assert error["result"] == "did b"
    assert "was executed, but its state change was refused: [state_conflict]" in str(error["error"])
    assert "the calls 'a' and 'b' of one round" in str(error["error"])


async def test_what_behaviors_write_about_the_calls_of_a_round_never_conflicts(path: Path) -> None:
    """Behaviors are asked call by call, each on the state that the call before has left: they see what they
    write over, where two tools at work at the same time do not."""

    def note(context: Context) -> State | None:
        return State(Set("/n", context.outcome.result)) if context.outcome else None

    planner = scripted_agent(
        named_calls("a", "b"),
        tools=[OrderedTool("a", "b").act],
        behaviors=[INITIAL_STATE, PhaseBehavior(note, "note")],
    )
    await run_agent(path, planner)

    assert read_call_statuses(path) == {"a": "succeeded", "b": "succeeded"}
    assert read_state(path)["n"] == "b"


async def test_two_sequential_calls_never_conflict(path: Path) -> None:
    document = await acted(path, [Set("/n", 5)], [Set("/n", 6)], tool_execution="sequential")

    assert document["n"] == 6


async def test_the_same_place_may_be_written_in_the_next_round(path: Path) -> None:
    def act(name: str) -> ToolResult:
        return ToolResult(name, [Set("/n", name)])

    await run_agent(path, scripted_agent(named_calls("a"), named_calls("b"), tools=[act]))

    assert read_state(path)["n"] == "b"


async def test_what_is_kept_for_a_call_never_conflicts(path: Path) -> None:
    def act(name: str) -> ToolResult:
        return ToolResult(name, [Set("/note", name, scope="tool_call"), Count()])

    await run_agent(path, scripted_agent(named_calls("a", "b"), tools=[act]))

    assert read_call_statuses(path) == {"a": "succeeded", "b": "succeeded"}
    assert replay(read_history(path)).state["__run"]["counter"] == {"n": 2}


pointers = st.lists(st.sampled_from("ab"), max_size=3).map(lambda way: "".join(f"/{key}" for key in way))
writes = st.lists(st.builds(Write, pointers, st.booleans()), max_size=3)


@given(writes, writes)
def test_conflicts_are_the_same_from_both_sides(one: list[Write], other: list[Write]) -> None:
    """conflict(a, b) == conflict(b, a), and only if one of them is raw"""
    there, back = conflict("b", other, {"a": one}), conflict("a", one, {"b": other})

    assert bool(there) == bool(back)
    assert not there or any(write.raw for write in (*one, *other))
