"""Wherever a process dies: the log up to any changeset of a run is recovered, soundly and once."""

from pathlib import Path

import pytest

from support.checks import assert_replays
from support.log_reads import read_history
from support.logs import fresh_path
from threadlog.engine import Agent, Decision, Runtime, ScriptedModel, ToolCall, Turn, tool
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.reducers.run import ENDS
from threadlog.reducers.usage import add_usage, changeset_usage
from threadlog.store import Changeset, Log
from threadlog.store.changeset import ToolExecution, Usage

pytestmark = pytest.mark.anyio


@tool(idempotent=True)
def look() -> str:
    """Look."""
    return "seen"


@tool
def pay() -> str:
    """Pay."""
    return "paid"


def planner(execution: ToolExecution) -> Agent:
    """Two rounds of calls, and an answer."""
    calls = [ToolCall("look", {}, "c1"), ToolCall("pay", {}, "c2"), ToolCall("look", {}, "c3")]
    turns = [Turn(tool_calls=calls, usage=Usage(input_tokens=n, output_tokens=1)) for n in (2, 3)]
    return Agent("planner", ScriptedModel(*turns, *["done"] * 3), tools=[look, pay], tool_execution=execution)


async def recorded(path: Path, execution: ToolExecution) -> list[Changeset]:
    """All that a run wrote which came to its end."""
    async with Runtime.open(path, agents=[planner(execution)], durability="normal") as runtime:
        await (await runtime.start("planner", "go", thread="t1", id="r1")).result()
    return read_history(path)


def cost(changesets: list[Changeset]) -> Usage:
    total = Usage()
    for changeset in changesets:
        total = add_usage(total, changeset_usage(changeset))
    return total


def write(path: Path, changesets: list[Changeset]) -> None:
    with Log.open(path, durability="normal") as log:
        for version, changeset in enumerate(changesets):
            log.append(changeset, version)


@pytest.mark.parametrize("execution", ["sequential", "parallel"])
async def test_a_run_cut_off_anywhere_is_stopped_once_with_what_it_has_cost(
    path: Path, execution: ToolExecution
) -> None:
    """usage at the end == what the log has of it; replay_run() is None; verify() == []; twice is once"""
    whole = await recorded(path, execution)
    for cut in range(1, len(whole)):
        with fresh_path() as part:
            write(part, whole[:cut])
            async with Runtime.open(part, agents=[]) as runtime:
                result = await runtime.get_run("r1").result()
                assert await runtime.recover() == []
            assert (result.termination, result.usage) == (ENDS["stop"], cost(whole[:cut]))
            assert len(read_history(part)) == cut + 1
            await assert_replays(part, planner(execution))


@pytest.mark.parametrize("execution", ["sequential", "parallel"])
@pytest.mark.parametrize("orphans", ["resume", "ask"])
async def test_a_run_cut_off_anywhere_goes_on_to_its_end(
    path: Path, execution: ToolExecution, orphans: OrphanPolicy
) -> None:
    """every call has one outcome; replay_run() is None; verify() == []"""
    whole = await recorded(path, execution)
    for cut in range(1, len(whole)):
        with fresh_path() as part:
            write(part, whole[:cut])
            answering = ScriptedModel(*["done"] * 9, name="scripted")
            agent = Agent("planner", answering, tools=[look, pay], tool_execution=execution)
            async with Runtime.open(part, agents=[agent], orphans=orphans) as runtime:
                asked = runtime.pending("r1")
                for call in asked:
                    await runtime.decide("r1", [Decision.approve(call.call_id)])
                async for _ in runtime.subscribe("r1"):
                    pass
                assert (await runtime.get_run("r1").result()).output == "done"
                assert bool(asked) == (orphans == "ask")
            await assert_replays(part, agent)
