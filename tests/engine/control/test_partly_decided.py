"""Runs of which some calls wait and others do not: what runs, and what the model reads."""

from pathlib import Path

import anyio
import pytest

from support.agents import approval_agent, scripted_agent
from support.approvals import AWAITING_APPROVAL, SECOND_ADD
from support.behaviors import PhaseBehavior
from support.checks import assert_replays
from support.log_reads import read_call_statuses
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime, run_agent, run_and_decide
from support.tools import ERASE, erase
from threadlog.engine import Context, Decision, ModelRequest, Terminate, ToolCall
from threadlog.engine.agents.behavior import PhaseActions
from threadlog.engine.events.event import ToolCallDecided, ToolCallStarted
from threadlog.store.changeset import Termination

pytestmark = pytest.mark.anyio


async def test_a_partly_decided_round_runs_and_the_run_waits_at_its_end(path: Path) -> None:
    requests: list[ModelRequest] = []
    planner = approval_agent(
        [ERASE, SECOND_ADD], recorded_turn(requests, "waiting for you"), recorded_turn(requests, "all done")
    )

    result = await run_and_decide(path, planner, Decision.approve("c1"))

    assert request_messages(requests[0])[2:] == [("tool", AWAITING_APPROVAL), ("tool", "3")]
    # A result that comes later than its turn is a note: providers refuse it anywhere else.
    late = "The tool call erase (c1) has been answered: erased"
    assert request_messages(requests[1])[-2:] == [("assistant", "waiting for you"), ("user", late)]
    assert request_messages(requests[1])[2:4] == [
        ("tool", "[The result of this call came later: it is further below.]"),
        ("tool", "3"),
    ]
    assert result.output == "all done"


async def test_the_decided_one_of_two_waiting_calls_runs_and_the_model_sees_both(path: Path) -> None:
    two = [ERASE, ERASE.model_copy(update={"id": "c2"})]
    requests: list[ModelRequest] = []
    planner = approval_agent(two, recorded_turn(requests, "one is gone"))
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c2")])
        assert resumed
        result = await resumed.result()

    assert request_messages(requests[0])[2:] == [("tool", AWAITING_APPROVAL), ("tool", "erased")]
    assert (result.status, read_call_statuses(path)) == ("waiting", {"c1": "suspended", "c2": "succeeded"})
    await assert_replays(path, planner)


async def test_decided_calls_run_in_call_order(path: Path) -> None:
    planner = approval_agent([ToolCall("erase", id=id) for id in ("c3", "c1", "c2")], "done")
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        answers = [Decision.approve("c3"), Decision.deny("c1"), Decision.approve("c2")]
        resumed = await runtime.decide(first.run_id, answers)
        assert resumed
        events = [event async for event in resumed]

    gone_on = [(e.call_id, e.decision.approved) for e in events if isinstance(e, ToolCallDecided)]
    assert gone_on == [("c3", True), ("c1", False), ("c2", True)]
    assert {e.call_id for e in events if isinstance(e, ToolCallStarted)} == {"c2", "c3"}
    assert read_call_statuses(path) == {"c1": "cancelled", "c2": "succeeded", "c3": "succeeded"}
    await assert_replays(path, planner)


async def test_a_run_resumed_without_a_decision_keeps_waiting(path: Path) -> None:
    requests: list[ModelRequest] = []
    planner = approval_agent([ERASE, SECOND_ADD], "waiting", recorded_turn(requests, "never"))
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        result = await (await runtime.resume(first.run_id)).result()

    assert (result.status, requests) == ("waiting", [])


@pytest.mark.parametrize("phase", ["before_inference", "after_inference"])
async def test_a_run_that_a_behavior_would_end_waits_instead(path: Path, phase: str) -> None:
    def end(context: Context) -> PhaseActions:
        return Terminate() if context.phase == phase and context.step == 1 else None

    result = await run_agent(
        path, approval_agent([ERASE, SECOND_ADD], "text", behaviors=[PhaseBehavior(end)])
    )

    assert result.status == "waiting"


async def test_a_run_that_a_policy_would_stop_waits_and_is_stopped_later(path: Path) -> None:
    planner = approval_agent([ERASE, SECOND_ADD], SECOND_ADD, max_rounds=1)

    result = await run_and_decide(path, planner, Decision.approve("c1"))

    assert result.termination == Termination(type="stopped", code="max_rounds_reached")


async def test_batch_approval_waits_for_all_decisions(path: Path) -> None:
    two = [ERASE, ERASE.model_copy(update={"id": "c2"})]
    planner = approval_agent(two, "gone", tool_execution="parallel_batch_approval")
    first = await run_agent(path, planner)
    async with open_runtime(path, planner) as runtime:
        one = await runtime.decide(first.run_id, [Decision.approve("c2")])
        assert one
        assert (await one.result()).status == "waiting"
        assert read_call_statuses(path) == {"c1": "suspended", "c2": "resuming"}
        other = await runtime.decide(first.run_id, [Decision.deny("c1")])
        assert other
        result = await other.result()

    assert (result.output, read_call_statuses(path)) == ("gone", {"c1": "cancelled", "c2": "succeeded"})


async def test_a_decided_call_of_a_waiting_batch_is_not_shown_as_interrupted(path: Path) -> None:
    two = [ERASE, ERASE.model_copy(update={"id": "c2"})]
    requests: list[ModelRequest] = []

    async def wait() -> str:
        reached.set()
        await gone_on.wait()
        return "waited"

    reached, gone_on = anyio.Event(), anyio.Event()
    planner = scripted_agent(
        [*two, ToolCall("wait", id="c3")],
        recorded_turn(requests, "not yet"),
        tools=[erase, wait],
        tool_execution="parallel_batch_approval",
    )
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await reached.wait()
        await runtime.decide(started.run_id, [Decision.approve("c1")])
        gone_on.set()
        await started.result()

    assert request_messages(requests[0])[2:] == [
        ("tool", AWAITING_APPROVAL),
        ("tool", AWAITING_APPROVAL),
        ("tool", "waited"),
    ]
    assert read_call_statuses(path) == {"c1": "resuming", "c2": "suspended", "c3": "succeeded"}
    await assert_replays(path, planner)


@pytest.mark.parametrize("execution", ["parallel", "sequential"])
async def test_without_batch_approval_a_decided_call_runs_at_once(path: Path, execution: str) -> None:
    planner = approval_agent(
        [ERASE, SECOND_ADD], ERASE.model_copy(update={"id": "c3"}), "end", tool_execution=execution
    )

    await run_and_decide(path, planner, Decision.approve("c1"))

    assert read_call_statuses(path)["c1"] == "succeeded"
