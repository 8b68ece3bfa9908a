"""What one append costs on its way from the workspace to the disk, counted: no clock is involved."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.log_reads import read_history
from threadlog.engine import Runtime, ToolCall
from threadlog.store import Changeset
from threadlog.store.patch import Draft

pytestmark = pytest.mark.anyio

TWO_CALLS = [ToolCall("add", {"n": 1}), ToolCall("add", {"n": 2})]
CHANGESETS = [
    "run_started",
    "assistant_turn",
    "tool_results",
    "tool_results",
    "assistant_turn",
    "run_finished",
]


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a changeset was encoded, and a patch applied."""
    counted = Counter[str]()

    def count(kind: type, method: str, what: str) -> None:
        original: Callable[..., Any] = getattr(kind, method)

        def counting(*args: Any, **fields: Any) -> Any:
            counted[what] += 1
            return original(*args, **fields)

        monkeypatch.setattr(kind, method, counting)

    count(Changeset, "model_dump", "encodes")
    count(Draft, "apply", "folds")
    return counted


def count_statements(runtime: Runtime, counted: Counter[str]) -> None:
    """Count what the writer's connection executes; SQLite reports what triggers do as a comment."""

    def trace(statement: str) -> None:
        verb = statement.split(maxsplit=1)[0].lower()
        if verb in ("insert", "update", "select"):
            counted["statements"] += 1
        elif verb == "commit":
            counted["commits"] += 1

    runtime.log.writable()._connection.set_trace_callback(trace)


def count_hops(runtime: Runtime, counted: Counter[str]) -> None:
    """Count how often the writing thread calls into the event loop."""
    appender = runtime._parts.environment.appender
    call_soon = appender._call_soon

    def counting(call: Callable[[], Any]) -> Any:
        counted["hops"] += 1
        return call_soon(call)

    appender._call_soon = counting


def patches(changesets: Sequence[Changeset]) -> int:
    return sum(len(changeset.patches) for changeset in changesets)


async def test_a_changeset_is_encoded_once_and_folded_once(path: Path, costs: Counter[str]) -> None:
    async with Runtime.open(path, agents=[scripted_agent(TWO_CALLS, "done")]) as runtime:
        count_statements(runtime, costs)
        count_hops(runtime, costs)
        await (await runtime.start("planner", "go", thread="t1")).result()
        counted = Counter(costs)

    written = read_history(path)
    assert [changeset.reason for changeset in written] == CHANGESETS
    assert counted["encodes"] == len(CHANGESETS)
    assert counted["folds"] == patches(written)
    # For each changeset its row; the rows of run, control and messages; the thread and what it must not be.
    assert counted["statements"] <= 24
    assert counted["commits"] <= len(CHANGESETS)
    assert counted["hops"] <= len(CHANGESETS)
