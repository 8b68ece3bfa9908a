"""Decisions that arrive while the run still works, before or after their call asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import approval_agent, scripted_agent
from support.approvals import APPROVE, DENY, SECOND_ADD
from support.behaviors import PhaseBehavior
from support.checks import assert_replays
from support.log_reads import read_actions, read_tool_results
from support.runtimes import open_runtime
from support.tools import ERASE, add, erase
from threadlog.engine import Context, Decision, ModelRequest, Run, Runtime, ScriptedModel, ToolCall
from threadlog.engine.models.model import Part
from threadlog.reducers.decision import kept_decisions
from threadlog.store.errors import ContentError, RunError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def going(path: Path, *turns: Any, **fields: Any) -> AsyncIterator[tuple[Runtime, Run, anyio.Event]]:
    """A run that stands in its tool `wait` until the event is set."""
    reached, gone_on = anyio.Event(), anyio.Event()

    async def wait() -> str:
        reached.set()
        await gone_on.wait()
        return "waited"

    planner = scripted_agent(*turns, **{"tools": [erase, add, wait], **fields})
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await reached.wait()
        yield runtime, started, gone_on


WAIT = ToolCall("wait", id="w")


async def test_an_invalid_decision_does_not_reach_an_active_run(path: Path) -> None:
    async with going(path, [ERASE, WAIT], "end") as (runtime, started, gone_on):
        with pytest.raises(ContentError, match="cannot be stored"):
            await runtime.decide(started.run_id, [Decision("c1", "no")])  # type: ignore[arg-type]
        gone_on.set()
        assert (await started.result()).status == "waiting"


async def test_a_call_can_be_decided_while_the_model_answers(path: Path) -> None:
    """The call runs once the turn is in the log, so that its result never precedes the turn that asked
    for it."""
    answering, gone_on = anyio.Event(), anyio.Event()

    class Slow(ScriptedModel):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
            if request.messages[-1].content == "3":
                answering.set()
                await gone_on.wait()
            async for part in super().stream(request):
                yield part

    planner = approval_agent(model=Slow([ERASE, SECOND_ADD], "one is done", "gone"))
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await answering.wait()
        await runtime.decide(started.run_id, [APPROVE])
        gone_on.set()
        result = await started.result()
        said = [(m.role, m.content) for m in runtime.messages("t1")]

    assert result.output == "gone"
    assert said[3:] == [("assistant", "one is done"), ("tool", "erased"), ("assistant", "gone")]
    await assert_replays(path, planner)


async def test_a_call_can_be_decided_while_its_run_is_active(path: Path) -> None:
    async with going(path, [ERASE, WAIT], "gone") as (runtime, started, gone_on):
        assert await runtime.decide(started.run_id, [APPROVE]) is started
        gone_on.set()
        result = await started.result()

    assert (result.output, read_tool_results(path)) == ("gone", ["waited", "erased"])


async def test_an_early_decision_is_kept_until_its_call_asks(path: Path) -> None:
    """In the log, as an action: no second queue can be stale."""
    async with going(path, WAIT, SECOND_ADD, ERASE, "gone") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [APPROVE])
        gone_on.set()
        result = await started.result()

    assert (result.output, read_tool_results(path)) == ("gone", ["waited", "3", "erased"])
    assert len(read_actions(path, "KeepDecision")) == 1
    assert [action.payload["unused"] for action in read_actions(path, "RemoveDecision")] == [False]


async def test_an_early_decision_can_be_repeated_but_not_reversed(path: Path) -> None:
    async with going(path, WAIT, SECOND_ADD, ERASE, "gone") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [APPROVE])
        await runtime.decide(started.run_id, [APPROVE])
        with pytest.raises(RunError, match="already decided"):
            await runtime.decide(started.run_id, [DENY])
        gone_on.set()
        await started.result()

    assert len(read_actions(path, "KeepDecision")) == 1


async def test_an_unused_decision_is_recorded_as_unused(path: Path) -> None:
    async with going(path, WAIT, "end") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [Decision.approve("c9")])
        gone_on.set()
        await started.result()
        document = runtime.state("t1")

    assert [action.payload["unused"] for action in read_actions(path, "RemoveDecision")] == [True]
    assert kept_decisions(document) == []


async def test_a_decision_that_a_cancelled_run_never_read_is_recorded_as_unused(path: Path) -> None:
    async with going(path, WAIT) as (runtime, started, _):
        await runtime.decide(started.run_id, [Decision.approve("c9")])
        await runtime.cancel(started.run_id)
        await started.result()

    assert [action.payload["unused"] for action in read_actions(path, "RemoveDecision")] == [True]


async def test_an_early_decision_survives_a_wait(path: Path) -> None:
    other = ERASE.model_copy(update={"id": "c2"})
    async with going(path, WAIT, other, ERASE, "gone") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [APPROVE])
        gone_on.set()
        assert (await started.result()).status == "waiting"
        resumed = await runtime.decide(started.run_id, [Decision.approve("c2")])
        assert resumed
        result = await resumed.result()

    assert (result.output, read_tool_results(path)) == ("gone", ["waited", "erased", "erased"])


async def test_a_decision_that_arrives_as_a_run_suspends_is_not_lost(path: Path) -> None:
    """A run does not suspend with unread decisions: it continues."""
    deciding: list[Run | None] = []
    at_the_end, decided = anyio.Event(), anyio.Event()

    class Slow(PhaseBehavior):
        async def run_end(self, context: Context) -> None:
            at_the_end.set()
            await decided.wait()

    async def decide(runtime: Runtime, run_id: str) -> None:
        decided.set()
        deciding.append(await runtime.decide(run_id, [APPROVE]))

    planner = approval_agent(ERASE, "gone", behaviors=[Slow(lambda context: None)])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await at_the_end.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide, runtime, started.run_id)
            assert (await started.result()).output == "gone"
        assert deciding == [started]
