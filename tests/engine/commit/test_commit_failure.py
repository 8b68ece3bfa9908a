"""A commit fails, or reports a failure: callers learn what the log says."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from support.agents import scripted_agent
from support.log_files import InterceptedConnection
from support.log_reads import read_call_statuses, read_reasons
from support.logs import changeset
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime
from support.tools import erase
from threadlog.engine import Decision, ModelRequest, Runtime, ToolCall
from threadlog.engine.events.event import AssistantTurn, RunStarted, StepStarted, ToolCallStarted
from threadlog.store import Log
from threadlog.store.database import sqlite3, translation
from threadlog.store.errors import LogUnavailable

pytestmark = pytest.mark.anyio


def fill(runtime: Runtime, pages: int) -> None:
    """Let the file not grow beyond a number of pages: SQLite reports what it reports of a full disk."""
    runtime.log.writable()._connection.execute(f"pragma max_page_count = {pages}").fetchone()


async def test_a_run_stops_when_its_commit_fails_and_frees_its_thread(path: Path) -> None:
    """The log cannot say how the run ended, because nothing could be written: the run stays `running`
    until another run takes its thread. The result of its tool is unknown to the log and to the model."""
    runtimes: list[Runtime] = []
    requests: list[ModelRequest] = []

    def book() -> str:
        fill(runtimes[0], 1)
        return "x" * 100_000

    planner = scripted_agent(
        ToolCall("book", id="c1"),
        recorded_turn(requests, "lost"),
        recorded_turn(requests, "done"),
        tools=[book],
    )
    async with open_runtime(path, planner) as runtime:
        runtimes.append(runtime)
        run = await runtime.start("planner", "go", thread="t1")
        told = [type(event) async for event in run]
        with pytest.raises(LogUnavailable, match="no space is left"):
            await run.result()
        assert [row.status for row in runtime.log.open_runs()] == ["running"]
        assert read_reasons(path) == ["run_started", "assistant_turn"]

        fill(runtime, 1_000_000)
        again = await runtime.start("planner", "again", thread="t1", if_active="supersede")
        assert (await again.result()).output == "done"

    assert told[:4] == [RunStarted, StepStarted, AssistantTurn, ToolCallStarted]
    assert read_call_statuses(path) == {}
    assert read_reasons(path)[2:] == ["superseded", "run_started", "assistant_turn", "run_finished"]
    assert request_messages(requests[-1])[1:3] == [
        ("assistant", ""),
        ("tool", "[Tool execution was interrupted before producing a result.]"),
    ]


async def test_a_decided_run_continues_once_the_log_is_writable(path: Path) -> None:
    """The decision is durable, and the result can be awaited again."""
    planner = scripted_agent(ToolCall("erase", {}, "c1"), "done", tools=[erase])
    async with open_runtime(path, planner) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        await run.result()
        stop = runtime.log.listen(lambda: fill(runtime, 1))
        await runtime.decide(run.run_id, [Decision.approve("c1", "x" * 100_000)])
        with pytest.raises(LogUnavailable, match="no space is left"):
            await run.result()
        assert [event async for event in run] == []

        stop()
        fill(runtime, 1_000_000)
        await runtime.start("planner", "go", thread="t2")
        assert [event async for event in runtime.subscribe(run.run_id)]
        assert (await run.result()).output == "done"


def misreported(commit: Callable[[], object]) -> None:
    commit()
    raise sqlite3.OperationalError("disk I/O error")


def test_an_append_that_landed_is_answered_despite_a_commit_error(log: Log) -> None:
    writer = log.writable()
    writer._connection = InterceptedConnection(writer._connection, misreported)

    assert log.append(changeset(), 0) == 1
    assert log.head("t1") == 1


class Unreadable:
    """A connection that cannot read."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    def execute(self, *_: object) -> None:
        self.asked.set()
        raise failure(sqlite3.SQLITE_IOERR)


def failure(code: int) -> sqlite3.OperationalError:
    err = sqlite3.OperationalError("disk I/O error")
    err.sqlite_errorcode = code
    return err


async def test_a_runtime_recovers_when_its_log_is_readable_again(path: Path) -> None:
    planner = scripted_agent(ToolCall("erase", {}, "c1"), "done", tools=[erase])
    async with open_runtime(path, planner) as runtime, Runtime.open(path, agents=[]) as other:
        run = await runtime.start("planner", "go", thread="t1")
        await run.result()
        reader, runtime.log._reader = runtime.log._reader, (broken := Unreadable())
        with anyio.fail_after(10):
            await broken.asked.wait()
        runtime.log._reader = reader

        await other.decide(run.run_id, [Decision.approve("c1")])
        assert [event async for event in runtime.subscribe(run.run_id)]
        assert (await run.result()).output == "done"


def test_a_reader_that_cannot_read_reports_no_damage(path: Path) -> None:
    assert isinstance(translation(failure(sqlite3.SQLITE_PROTOCOL), path), LogUnavailable)
