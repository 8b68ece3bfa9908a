"""Events of the user's state, of steps and of children; the JSON form of events; cursors over threads."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from support.runtimes import open_runtime
from threadlog import engine
from threadlog.engine import (
    Agent,
    ChildStarted,
    Cursor,
    DurableEvent,
    Event,
    NotFound,
    RunFinished,
    Runtime,
    ScriptedModel,
    StateChanged,
    StepFinished,
    StepStarted,
    ToolCall,
    ToolResult,
    event_json,
    run_events,
    tool,
)
from threadlog.reducers import Delete, Increment, Set
from threadlog.store.patch import apply

pytestmark = pytest.mark.anyio


@tool
def count(by: int) -> ToolResult:
    """Change the state three times."""
    return ToolResult("counted", [Set("/last", {"by": by}), Increment("/total", by), Delete("/first")])


def counter(*turns: Any) -> Agent:
    return Agent("counter", ScriptedModel(*turns), tools=[count], tool_execution="sequential")


async def heard(path: Path, agent: Agent, **start: Any) -> tuple[list[Event], Any]:
    """The events of a run, and the state of its thread after it."""
    async with open_runtime(path, agent) as runtime:
        run = await runtime.start(agent.name, "go", thread="t1", **start)
        return [event async for event in run], runtime.state("t1")


async def test_state_events_reproduce_the_users_state(path: Path) -> None:
    calls = [[ToolCall("count", {"by": 1}), ToolCall("count", {"by": 2})], ToolCall("count", {"by": 4})]

    events, state = await heard(path, counter(*calls, "done"), state={"first": 1, "total": 10})

    document: Any = {}
    for event in events:
        if isinstance(event, StateChanged):
            document = apply(document, event.operations)
    assert document == {key: value for key, value in state.items() if not key.startswith("__")}
    assert document == {"last": {"by": 4}, "total": 17}
    assert {event.source for event in events if isinstance(event, StateChanged)} >= {"tool:count"}


async def test_a_step_finishes_with_its_last_tool_call(path: Path) -> None:
    calls = [ToolCall("count", {"by": 1}), ToolCall("missing", {})]

    events, _ = await heard(path, counter(calls, "done"), state={"first": 1})

    steps = [event for event in events if isinstance(event, StepStarted | StepFinished)]
    assert [(type(event), event.step) for event in steps] == [
        (StepStarted, 0),
        (StepFinished, 0),
        (StepStarted, 1),
        (StepFinished, 1),
    ]


async def test_a_child_is_announced_with_its_run_and_thread(path: Path) -> None:
    worker = Agent("worker", ScriptedModel("found"))
    call = ToolCall("agent_run", {"agent_id": "worker", "prompt": "find", "background": False})
    boss = Agent("boss", ScriptedModel(call, "done"), agents=["worker"])

    async with Runtime.open(path, agents=[boss, worker]) as runtime:
        run = await runtime.start("boss", "go", thread="t1")
        events = [event async for event in run]
        (child,) = [event for event in events if isinstance(event, ChildStarted)]
        found = list(run_events(runtime.log, child.run_id))

    assert (child.agent, child.epoch) == ("worker", 1)
    assert isinstance(found[-1], RunFinished)
    assert found[-1].result.thread_id == child.thread_id


async def test_one_cursor_orders_the_events_of_several_threads(path: Path) -> None:
    async with open_runtime(path, counter("one", "two", "three")) as runtime:
        runs = [await runtime.start("counter", "go", thread=thread) for thread in ("t1", "t2", "t3")]
        for run in runs:
            await run.result()
        events = sorted(
            (event for run in runs for event in run_events(runtime.log, run.run_id)),
            key=lambda event: event.cursor,
        )
        middle = events[len(events) // 2].cursor
        rest = [event for run in runs async for event in runtime.subscribe(run.run_id, middle)]

    assert len({event.cursor for event in events}) == len(events)
    assert sorted(rest, key=lambda event: event.cursor or middle) == [e for e in events if e.cursor > middle]


async def test_every_event_has_a_json_form_with_its_type_and_cursor(path: Path) -> None:
    events, _ = await heard(path, counter(ToolCall("count", {"by": 1}), "done"), state={"first": 1})

    for event in events:
        written = json.loads(json.dumps(event_json(event)))
        assert written["type"] == re.sub(r"(?<!^)([A-Z])", r"_\1", type(event).__name__).lower()
        assert (Cursor.parse(written["cursor"]) if written["cursor"] else None) == event.cursor
        assert "provider" not in written.get("message", {})


@pytest.mark.parametrize("text", ["", "1", "1.2.3", "a.b", "1.-1", "²." + "1", "1" * 40 + ".0"])
def test_malformed_cursors_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cursor|unpack|expected"):
        Cursor.parse(text)


async def test_an_unknown_run_has_no_events(path: Path) -> None:
    async with open_runtime(path, counter("done")) as runtime:
        with pytest.raises(NotFound, match="'r1'"):
            list(run_events(runtime.log, "r1"))


def test_every_event_is_exported_under_a_type_of_its_own() -> None:
    kinds = get_args(Event)
    assert set(get_args(DurableEvent)) <= set(kinds)
    assert len({kind.type for kind in kinds}) == len(kinds)
    assert {kind.__name__ for kind in kinds} <= set(engine.__all__)
