import gc
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import scripted_agent
from support.log_reads import read_history
from support.runtimes import open_runtime, run_agent
from threadlog.engine import ToolCall, Turn
from threadlog.engine.events.event import (
    AssistantTurn,
    Event,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from threadlog.reducers import replay
from threadlog.store import Log

pytestmark = pytest.mark.anyio

CALLS = [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("fail", {}, "c2")]


async def events(path: Path, *turns: Any) -> list[Event]:
    async with open_runtime(path, scripted_agent(*turns, tool_execution="sequential")) as runtime:
        return [event async for event in await runtime.start("planner", "go", thread="t1")]


def without_pieces(events: list[Event]) -> list[Event]:
    """Of the pieces of a text the first: a listener that is behind gets them put together."""
    return [
        event
        for before, event in pairwise([None, *events])
        if event and not (isinstance(before, TextDelta) and isinstance(event, TextDelta))
    ]


async def test_the_events_of_a_run_in_order(path: Path) -> None:
    told = await events(path, Turn(text="I add", tool_calls=CALLS), "hello")

    kinds = [type(event) for event in without_pieces(told)]
    assert kinds == [
        RunStarted,
        StepStarted,
        TextDelta,
        AssistantTurn,
        ToolCallStarted,
        ToolCallFinished,
        ToolCallStarted,
        ToolCallFinished,
        StepFinished,
        StepStarted,
        TextDelta,
        AssistantTurn,
        StepFinished,
        RunFinished,
    ]
    assert [event.cursor for event in told if event.cursor] == [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 0),
        (4, 1),
        (5, 0),
        (5, 1),
        (6, 0),
    ]


async def test_events_agree_with_the_log(path: Path) -> None:
    """Each event names the log position at which its state can be read."""
    told = await events(path, CALLS, "hello")

    changesets = {changeset.version: changeset for changeset in read_history(path)}
    for event in told:
        if isinstance(event, AssistantTurn):
            assert changesets[event.cursor.position].messages == (event.message,)
        if isinstance(event, ToolCallFinished):
            assert changesets[event.cursor.position].tool_calls == (event.outcome,)
    assert isinstance(told[-1], RunFinished)
    assert told[-1].result.version == told[-1].cursor.position == 6


async def test_a_durable_event_is_published_after_its_commit(path: Path) -> None:
    async with open_runtime(path, scripted_agent(CALLS, "hello")) as runtime:
        async for event in await runtime.start("planner", "go", thread="t1"):
            if event.cursor:
                assert runtime.log.head("t1") >= event.cursor.position


async def test_a_call_is_in_the_log_before_its_tool_starts(path: Path) -> None:
    async def look() -> list[str]:
        with Log.open(path, readonly=True) as log:
            return [
                call.id for changeset in log.read("t1") for m in changeset.messages for call in m.tool_calls
            ]

    calls = [ToolCall("look", id="c1"), ToolCall("look", id="c2")]
    await run_agent(path, scripted_agent(*calls, tools=[look]))

    assert [message.content for message in replay(read_history(path)).messages if message.role == "tool"] == [
        '["c1"]',
        '["c1","c2"]',
    ]


async def test_every_subscriber_gets_all_events_and_a_late_one_all_durable_events(path: Path) -> None:
    heard: list[list[Event]] = [[], [], []]

    async def listen(to: Any, ears: list[Event]) -> None:
        ears.extend([event async for event in to])

    async with open_runtime(path, scripted_agent(CALLS, "hello there")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        async with anyio.create_task_group() as tasks:
            for ears in heard:
                tasks.start_soon(listen, started, ears)
        await started.result()
        late = [event async for event in started]

    for ears in heard:
        assert len(without_pieces(ears)) == 13
        assert late == [event for event in ears if event.cursor]


async def test_a_subscriber_may_leave_early_and_return(path: Path) -> None:
    async with open_runtime(path, scripted_agent(CALLS, "hello")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        async for event in started:
            assert isinstance(event, RunStarted)
            break
        gc.collect()
        told = [type(event) async for event in started]

    assert (told[0], told[-1]) == (RunStarted, RunFinished)


async def test_the_result_can_be_read_repeatedly_and_after_the_runtime_is_closed(path: Path) -> None:
    async with open_runtime(path, scripted_agent("hello")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        first = await started.result()

    assert await started.result() is first
    assert repr(started) == f"<Run {first.run_id!r} on 't1'>"


async def test_a_run_is_in_the_log_when_start_returns(path: Path) -> None:
    async with open_runtime(path, scripted_agent("hello")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")

        assert runtime.log.head("t1") >= 1
        assert (started.thread_id, next(runtime.log.read("t1")).run_id) == ("t1", started.run_id)
