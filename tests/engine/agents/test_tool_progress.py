"""The progress of a tool at work, and how it is cancelled."""

import threading
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from support.agents import scripted_agent
from support.log_reads import read_history
from support.runtimes import open_runtime
from threadlog.engine import ToolCall, ToolContext
from threadlog.engine.events.event import ToolProgress

pytestmark = pytest.mark.anyio


async def test_progress_is_told_from_either_kind_of_tool_and_is_not_kept(path: Path) -> None:
    async def quick(context: ToolContext) -> None:
        context.progress({"percent": 50})

    def blocking(context: ToolContext) -> None:
        context.progress("half")

    calls = [ToolCall("quick", id="c1"), ToolCall("blocking", id="c2")]
    async with open_runtime(
        path, scripted_agent(calls, tools=[quick, blocking], tool_execution="sequential")
    ) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert [event for event in events if isinstance(event, ToolProgress)] == [
        ToolProgress("c1", "quick", {"percent": 50}),
        ToolProgress("c2", "blocking", "half"),
    ]
    assert "half" not in str(read_history(path))


async def test_cancelling_reaches_a_tool_that_waits(path: Path) -> None:
    """a tool that is never told cannot give back what it holds"""
    started, ended = anyio.Event(), anyio.Event()

    async def wait() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with open_runtime(path, scripted_agent(ToolCall("wait"), tools=[wait])) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()
        assert await runtime.cancel(going.run_id)
        result = await going.result()

    assert result.termination.type == "cancelled"
    assert ended.is_set()


async def test_cancelling_reaches_a_tool_that_blocks_and_looks(path: Path) -> None:
    started, ended = anyio.Event(), threading.Event()

    def block() -> None:
        anyio.from_thread.run_sync(started.set)
        try:
            while True:
                anyio.from_thread.check_cancelled()
        finally:
            ended.set()

    async with open_runtime(path, scripted_agent(ToolCall("block"), tools=[block])) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()
        await runtime.cancel(going.run_id)
        result = await going.result()

    assert result.termination.type == "cancelled"
    assert await anyio.to_thread.run_sync(ended.wait, 10)
