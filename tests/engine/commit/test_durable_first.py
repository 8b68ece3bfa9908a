"""What waits for the disk: events are published and tools started after the previous commit has returned."""

import threading
from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.log_files import hold_commits
from support.models import GatedModel
from support.runtimes import open_runtimes
from threadlog.engine import ScriptedModel, ToolCall
from threadlog.engine.events.event import (
    AssistantTurn,
    Event,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TextDelta,
)
from threadlog.engine.runs.handle import Run

pytestmark = pytest.mark.anyio


async def at_rest(reached: threading.Event) -> None:
    """Return when a commit is held, and everybody has done what can be done without it."""
    await anyio.to_thread.run_sync(reached.wait)
    await anyio.wait_all_tasks_blocked()


async def test_no_durable_event_is_published_before_its_commit(path: Path) -> None:
    model, told = GatedModel(), list[type[Event]]()

    async def listen(run: Run) -> None:
        async for event in run:
            told.append(type(event))

    async with open_runtimes(path, [gated_agent(model)]) as (runtime,), anyio.create_task_group() as tasks:
        run = await runtime.start("planner", "go", thread="t1")
        tasks.start_soon(listen, run)
        asked = await model.next_request()
        with hold_commits(runtime.log) as reached:
            asked.answer("done")
            await at_rest(reached)
            assert told == [RunStarted, StepStarted, TextDelta]
        await run.result()

    assert told == [RunStarted, StepStarted, TextDelta, AssistantTurn, StepFinished, RunFinished]


async def test_no_tool_starts_before_the_previous_result_is_durable(path: Path) -> None:
    called, go = list[str](), anyio.Event()

    async def first() -> None:
        called.append("first")
        await go.wait()

    async def second() -> None:
        called.append("second")

    model = ScriptedModel([ToolCall("first"), ToolCall("second")], "done")
    agent = gated_agent(model, tools=[first, second], tool_execution="sequential")
    async with open_runtimes(path, [agent]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        async for event in run:
            if isinstance(event, AssistantTurn):
                break
        with hold_commits(runtime.log) as reached:
            go.set()
            await at_rest(reached)
            assert called == ["first"]
        assert (await run.result()).output == "done"

    assert called == ["first", "second"]
