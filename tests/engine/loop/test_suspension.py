"""Calls that wait for a person: the run waits with them, and resumes after their decision."""

from pathlib import Path

import pytest

from support.agents import approval_agent
from support.approvals import SECOND_ADD
from support.behaviors import PhaseBehavior
from support.log_reads import read_call_statuses, read_history, read_reasons, read_state, read_tool_results
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime, run_agent, run_and_decide
from support.tools import ERASE
from threadlog.engine import Context, Decision, ModelRequest, State
from threadlog.engine.events.event import (
    RunFinished,
    RunResumed,
    ToolCallDecided,
    ToolCallFinished,
    ToolCallStarted,
    ToolCallSuspended,
)
from threadlog.reducers import Set, replay
from threadlog.store.changeset import RunStatus, Termination
from threadlog.store.errors import RunError

pytestmark = pytest.mark.anyio


async def test_a_run_waits_when_all_its_calls_do(path: Path) -> None:
    result = await run_agent(path, approval_agent(ERASE))

    waiting = RunStatus(status="waiting", termination=Termination(type="suspended"))
    assert (result.status, result.output, read_history(path)[-1].run) == ("waiting", None, waiting)
    assert read_reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_suspended"]
    assert replay(read_history(path)).state["__run"]["status"] == "waiting"


async def test_a_suspended_call_has_a_ticket_and_a_question_and_no_message(path: Path) -> None:
    """One record holds the call, its status and its question, so that they cannot disagree. Only the request
    shows the model that a call waits, so no message is mistaken for a result."""
    result = await run_agent(path, approval_agent(ERASE))

    async with open_runtime(path, approval_agent()) as runtime:
        (call,) = runtime.pending(result.run_id)
    assert call.suspension is not None
    assert (call.call_id, call.name, call.arguments) == ("c1", "erase", {"amount": 7})
    assert (call.suspension.action, call.suspension.message) == ("approve", "Call erase?")
    assert call.suspension.parameters == {"amount": 7}
    assert read_tool_results(path) == []


async def test_tickets_are_unique_even_if_call_ids_are_not(path: Path) -> None:
    planner = approval_agent(*[ERASE] * 3)
    tickets = set()
    for _ in range(3):
        result = await run_agent(path, planner)
        async with open_runtime(path, planner) as runtime:
            tickets |= {call.suspension.ticket for call in runtime.pending(result.run_id) if call.suspension}
            await runtime.cancel(result.run_id)

    assert len(tickets) == 3


async def test_an_approved_call_is_made_and_the_model_is_told(path: Path) -> None:
    requests: list[ModelRequest] = []

    result = await run_and_decide(
        path, approval_agent(ERASE, recorded_turn(requests, "gone")), Decision.approve("c1")
    )

    assert (result.output, read_call_statuses(path), read_tool_results(path)) == (
        "gone",
        {"c1": "succeeded"},
        ["erased"],
    )
    assert request_messages(requests[0])[-1] == ("tool", "erased")
    assert read_reasons(path)[3:] == [
        "run_suspended",
        "run_resumed",
        "tool_results",
        "assistant_turn",
        "run_finished",
    ]


async def test_a_run_that_goes_on_is_in_its_next_epoch_under_its_own_id(path: Path) -> None:
    result = await run_and_decide(path, approval_agent(ERASE), Decision.approve("c1"))

    assert {changeset.run_id for changeset in read_history(path)} == {result.run_id}
    assert [changeset.epoch for changeset in read_history(path)] == [1] * 4 + [2] * 4
    assert read_history(path)[4].executor is not None


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("too risky", "too risky"),
        (None, "User denied the action"),
        ("", "User denied the action"),
        (" \n", "User denied the action"),
    ],
)
async def test_a_denied_call_is_not_made_and_the_model_is_told_why(
    path: Path, reason: str | None, text: str
) -> None:
    def tell(context: Context) -> State | None:
        return State(Set("/told", context.outcome.outcome)) if context.outcome else None

    planner = approval_agent(ERASE, "well", behaviors=[PhaseBehavior(tell)])
    result = await run_and_decide(path, planner, Decision.deny("c1", reason))

    assert (result.output, read_call_statuses(path)) == ("well", {"c1": "cancelled"})
    assert read_state(path) == {"told": "cancelled"}
    assert read_tool_results(path) == [f'{{"error":"{text}"}}']


async def test_a_decision_may_name_the_ticket(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE, "gone"))

    async with open_runtime(path, approval_agent("gone")) as runtime:
        (call,) = runtime.pending(first.run_id)
        assert call.suspension
        resumed = await runtime.decide(first.run_id, [Decision.approve(call.suspension.ticket)])
        assert resumed
        assert (await resumed.result()).output == "gone"


async def test_the_log_says_who_decided_what(path: Path) -> None:
    await run_and_decide(path, approval_agent(ERASE), Decision.approve("c1", {"yes": 1}, by="ann"))

    (action,) = [action for action in read_history(path)[4].actions if action.action == "DecideToolCall"]
    decision = action.payload["decision"]
    assert isinstance(decision, dict)
    assert (decision["by"], decision["approved"], decision["result"]) == ("ann", True, {"yes": 1})
    assert str(decision["id"]).startswith("decision:")


async def test_the_events_of_a_suspended_and_resumed_call(path: Path) -> None:
    """Each question is published once, when its commit is durable, with its ticket. It is not published again
    when the run suspends."""
    planner = approval_agent(ERASE, "gone")
    async with open_runtime(path, planner) as runtime:
        first = [event async for event in await runtime.start("planner", "go", thread="t1")]
        assert isinstance(first[-1], RunFinished)
        resumed = await runtime.decide(first[-1].result.run_id, [Decision.approve("c1")])
        assert resumed
        second = [event async for event in resumed]

    (asked,) = [event for event in first if isinstance(event, ToolCallSuspended | ToolCallFinished)]
    assert isinstance(asked, ToolCallSuspended)
    assert (asked.call_id, asked.name, asked.suspension.message) == ("c1", "erase", "Call erase?")
    assert [type(event) for event in second][:4] == [
        RunResumed,
        ToolCallDecided,
        ToolCallStarted,
        ToolCallFinished,
    ]


async def test_a_thread_whose_run_waits_takes_no_other_and_says_for_what(path: Path) -> None:
    """so a run never begins with questions that an earlier one has left open"""
    planner = approval_agent(ERASE)
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        (call,) = runtime.pending(first.run_id)
        assert call.suspension
        ticket = call.suspension.ticket
        with pytest.raises(RunError, match=f"waits for .*{ticket}.* on thread 't1'"):
            await runtime.start("planner", "again", thread="t1")

    assert len(read_history(path)) == 4


async def test_a_call_id_that_comes_again_while_it_waits_gets_another(path: Path) -> None:
    """providers reuse ids, and a decision must be for one call only"""
    planner = approval_agent([ERASE, SECOND_ADD], ERASE, "done")

    result = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        ids = [call.call_id for call in runtime.pending(result.run_id)]
    assert (result.status, len(ids), "c1" in ids) == ("waiting", 2, True)
