"""Calls that wait for a person: the run waits with them, and goes on as was decided."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest
from replayed import assert_replays
from runs import (
    Asking,
    add,
    agent,
    erase,
    hearing,
    history,
    reasons,
    run,
    running,
    said,
    state,
    statuses,
    told,
    wanting,
)

from threadlog.engine import (
    Agent,
    Context,
    Decision,
    ModelRequest,
    Run,
    SetToolResult,
    State,
    Suspend,
    ToolCall,
    ToolContext,
    ToolResult,
    tool,
)
from threadlog.engine.agents.behavior import Wanted
from threadlog.engine.events.event import (
    RunFinished,
    RunResult,
    RunResumed,
    ToolDecided,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    ToolSuspended,
)
from threadlog.reducers import Set, replay
from threadlog.reducers.tool_call import calls
from threadlog.store.changeset import RunFacts, Termination
from threadlog.store.errors import RunError

pytestmark = pytest.mark.anyio

ERASE = ToolCall("erase", {"amount": 7}, "c1")
ADD = ToolCall("add", {"a": 1, "b": 2}, "c2")
AWAITING = "Tool 'erase' is awaiting approval. Execution paused."


def eraser(*turns: Any, **fields: Any) -> Agent:
    return agent(*turns, **{"tools": [erase, add], **fields})


async def decided(path: Path, planner: Agent, *decisions: Decision) -> RunResult:
    """A run that waits, and then goes on as was decided."""
    first = await run(path, planner)
    assert (first.status, first.termination.type) == ("waiting", "suspended")
    async with running(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, decisions)
        assert resumed
        return await resumed.result()


async def test_a_run_waits_when_all_its_calls_do(path: Path) -> None:
    result = await run(path, eraser(ERASE))

    waiting = RunFacts(status="waiting", termination=Termination(type="suspended"))
    assert (result.status, result.output, history(path)[-1].run) == ("waiting", None, waiting)
    assert reasons(path) == ["run_started", "assistant_turn", "tool_results", "run_suspended"]
    assert replay(history(path)).state["__run"]["status"] == "waiting"


async def test_a_suspended_call_has_a_ticket_and_a_question_and_no_message(path: Path) -> None:
    """One record says all of it, the call, where it stands and the question, so that its parts cannot
    disagree; and that a call waits is told to the model in the request only, so no text is taken for it."""
    result = await run(path, eraser(ERASE))

    async with running(path, eraser()) as runtime:
        (call,) = runtime.pending(result.run_id)
    assert call.suspension is not None
    assert (call.call_id, call.name, call.arguments) == ("c1", "erase", {"amount": 7})
    assert (call.suspension.action, call.suspension.message) == ("approve", "Call erase?")
    assert call.suspension.parameters == {"amount": 7}
    assert told(path) == []


async def test_tickets_are_unique_even_if_call_ids_are_not(path: Path) -> None:
    planner = eraser(*[ERASE] * 3)
    tickets = set()
    for _ in range(3):
        result = await run(path, planner)
        async with running(path, planner) as runtime:
            tickets |= {call.suspension.ticket for call in runtime.pending(result.run_id) if call.suspension}
            await runtime.cancel(result.run_id)

    assert len(tickets) == 3


async def test_an_approved_call_is_made_and_the_model_is_told(path: Path) -> None:
    requests: list[ModelRequest] = []

    result = await decided(path, eraser(ERASE, hearing(requests, "gone")), Decision.approve("c1"))

    assert (result.output, statuses(path), told(path)) == ("gone", {"c1": "succeeded"}, ["erased"])
    assert said(requests[0])[-1] == ("tool", "erased")
    assert reasons(path)[3:] == [
        "run_suspended",
        "run_resumed",
        "tool_results",
        "assistant_turn",
        "run_finished",
    ]


async def test_a_run_that_goes_on_is_in_its_next_epoch_under_its_own_id(path: Path) -> None:
    result = await decided(path, eraser(ERASE), Decision.approve("c1"))

    assert {changeset.run_id for changeset in history(path)} == {result.run_id}
    assert [changeset.epoch for changeset in history(path)] == [1] * 4 + [2] * 4
    assert history(path)[4].executor is not None


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

    planner = eraser(ERASE, "well", behaviors=[Asking(tell)])
    result = await decided(path, planner, Decision.deny("c1", reason))

    assert (result.output, statuses(path)) == ("well", {"c1": "cancelled"})
    assert state(path) == {"told": "cancelled"}
    assert told(path) == [f'{{"error":"{text}"}}']


async def test_a_decision_may_name_the_ticket(path: Path) -> None:
    first = await run(path, eraser(ERASE, "gone"))

    async with running(path, eraser("gone")) as runtime:
        (call,) = runtime.pending(first.run_id)
        assert call.suspension
        resumed = await runtime.decide(first.run_id, [Decision.approve(call.suspension.ticket)])
        assert resumed
        assert (await resumed.result()).output == "gone"


async def test_the_log_says_who_decided_what(path: Path) -> None:
    await decided(path, eraser(ERASE), Decision.approve("c1", {"yes": 1}, by="ann"))

    (action,) = [action for action in history(path)[4].actions if action.action == "ToolCallDecided"]
    decision = action.payload["decision"]
    assert isinstance(decision, dict)
    assert (decision["by"], decision["approved"], decision["result"]) == ("ann", True, {"yes": 1})
    assert str(decision["id"]).startswith("decision:")


async def asked_once(mode: Any, path: Path, result: Any) -> tuple[list[str], list[Any]]:
    """What the model was told, and how often the tool was called with what, when a person answered so."""
    called: list[Any] = []

    @tool
    def book(city: str) -> str:
        called.append(city)
        return f"booked {city}"

    def ask(context: Context) -> Wanted:
        first = context.phase == "before_tool_execute" and not context.decision
        return Suspend("approve", resume_mode=mode) if first else None

    planner = agent(ToolCall("book", {"city": "Nara"}, "c1"), tools=[book], behaviors=[Asking(ask)])
    await decided(path, planner, Decision.approve("c1", result))
    return told(path), called


MODES: list[tuple[str, Any, str, list[str]]] = [
    ("replay_tool_call", None, "booked Nara", ["Nara"]),
    ("replay_tool_call", {"city": "Kyoto"}, "booked Nara", ["Nara"]),
    ("pass_decision_to_tool", {"city": "Kyoto"}, "booked Kyoto", ["Kyoto"]),
    ("pass_decision_to_tool", None, "booked Nara", ["Nara"]),
    ("pass_decision_to_tool", True, "booked Nara", ["Nara"]),
    ("use_decision_as_tool_result", {"city": "Kyoto"}, '{"city":"Kyoto"}', []),
    ("use_decision_as_tool_result", "by hand", "by hand", []),
    ("use_decision_as_tool_result", False, "false", []),
    ("use_decision_as_tool_result", None, "true", []),
]


@pytest.mark.parametrize(("mode", "result", "text", "cities"), MODES)
async def test_a_call_goes_on_as_its_mode_says(
    path: Path, mode: str, result: Any, text: str, cities: list[str]
) -> None:
    """Other systems call the tool with the decision as its arguments even where it is to be used as the
    result: here it *is* the result, as the name says, and the tool is not called."""
    assert await asked_once(mode, path, result) == ([text], cities)


async def test_arguments_from_a_person_are_checked_like_any_others(path: Path) -> None:
    text, called = await asked_once("pass_decision_to_tool", path, {"town": "Kyoto"})

    assert called == []
    assert text[0].startswith('{"error":"Invalid arguments: ')


async def test_a_tool_may_suspend_itself_and_is_told_the_decision(path: Path) -> None:
    seen: list[Any] = []

    async def pay(context: ToolContext) -> ToolResult:
        seen.append((context.idempotency_key.split(":", 1)[1], context.decision and context.decision.result))
        asks = Suspend("pay", "Really?", {"amount": 5}) if context.decision is None else None
        return ToolResult("paid", [Set("/paid", True)], suspend=asks)

    planner = agent(ToolCall("pay", id="c1"), tools=[pay])
    await decided(path, planner, Decision.approve("c1", "yes"))

    assert seen == [("0:c1", None), ("0:c1", "yes")]
    assert (told(path), state(path)) == (["paid"], {"paid": True})


@pytest.mark.parametrize(
    ("asked", "action", "parameters"),
    [
        (Suspend(), "tool:pay", {"amount": 7}),
        (Suspend("confirm", parameters={"sum": 7}), "confirm", {"sum": 7}),
        (Suspend("confirm", parameters=date(2026, 11, 20)), "confirm", "2026-11-20"),
    ],
)
async def test_what_a_question_does_not_say_comes_from_the_call(
    path: Path, asked: Suspend, action: str, parameters: Any
) -> None:
    form = {"type": "object", "properties": {"pin": {"type": "string"}}}

    def pay(context: ToolContext, amount: int) -> ToolResult:
        asks = replace(asked, message="Really?", response_schema=form) if context.decision is None else None
        return ToolResult("paid", suspend=asks)

    planner = agent(ToolCall("pay", {"amount": 7}, "c1"), tools=[pay])
    first = await run(path, planner)

    async with running(path, planner) as runtime:
        (call,) = runtime.pending(first.run_id)
    assert call.suspension
    assert (call.suspension.action, call.suspension.parameters) == (action, parameters)
    assert (call.suspension.message, call.suspension.response_schema) == ("Really?", form)
    await assert_replays(path, planner)


async def test_a_tool_may_answer_in_the_words_for_a_call_that_waits(path: Path) -> None:
    """that a call waits is known from its record, so an answer in these words is an answer"""
    requests: list[ModelRequest] = []

    def quote() -> str:
        return AWAITING

    await run(path, agent(ToolCall("quote", id="c1"), hearing(requests, "done"), tools=[quote]))

    assert said(requests[0])[-1] == ("tool", AWAITING)
    assert told(path) == [AWAITING]


async def test_a_call_keeps_its_key_when_the_model_has_answered_in_between(path: Path) -> None:
    keys: list[str] = []

    async def pay(context: ToolContext) -> ToolResult:
        keys.append(context.idempotency_key)
        return ToolResult("paid", suspend=Suspend("pay") if context.decision is None else None)

    planner = agent([ToolCall("pay", id="c1"), ADD], "waiting", "paid", tools=[pay, add])
    await decided(path, planner, Decision.approve("c1"))

    assert keys[0] == keys[1]


async def test_a_call_may_be_suspended_again_with_a_new_ticket(path: Path) -> None:
    planner = agent(
        ToolCall("add", {"a": 1, "b": 1}, "c1"), behaviors=[wanting("before_tool_execute", Suspend("x"))]
    )
    first = await run(path, planner)
    async with running(path, planner) as runtime:
        (before,) = runtime.pending(first.run_id)
        again = await runtime.decide(first.run_id, [Decision.approve("c1")])
        assert again
        result = await again.result()
        (after,) = runtime.pending(first.run_id)

    assert before.suspension
    assert after.suspension
    assert (result.status, after.decision, told(path)) == ("waiting", None, [])
    assert before.suspension.ticket != after.suspension.ticket


async def test_a_behavior_may_answer_a_decided_call_itself(path: Path) -> None:
    def answer(context: Context) -> Wanted:
        return SetToolResult(f"by {context.decision.by}") if context.decision else None

    planner = eraser(ERASE, behaviors=[Asking(answer)])
    await decided(path, planner, Decision.approve("c1", by="ann"))

    assert told(path) == ["by ann"]


async def test_a_call_that_has_ended_still_says_what_was_asked_and_answered(path: Path) -> None:
    await decided(path, eraser(ERASE), Decision.approve("c1", by="ann"))

    (call,) = calls(replay(history(path)).state)
    assert call.suspension
    assert call.decision
    assert (call.status, call.suspension.message, call.decision.by) == ("succeeded", "Call erase?", "ann")


async def test_a_tool_that_goes_on_tells_its_progress_and_can_be_cancelled(path: Path) -> None:
    """a call is the same call, whether a person was asked before or not"""
    started = anyio.Event()

    @tool(needs_approval=True)
    async def wait(context: ToolContext) -> None:
        context.progress("half")
        started.set()
        await anyio.sleep_forever()

    planner = agent(ToolCall("wait", id="c1"), tools=[wait])
    first = await run(path, planner)
    progress: list[Any] = []

    async def listen(run: Run) -> None:
        progress.extend([event.progress async for event in run if isinstance(event, ToolProgress)])

    async with running(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c1")])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, resumed)
            await started.wait()
            assert await runtime.cancel(first.run_id)
        result = await resumed.result()

    assert (result.termination, progress) == (Termination(type="cancelled", detail="tools"), ["half"])
    assert statuses(path) == {"c1": "cancelled"}
    await assert_replays(path, planner)


async def test_the_events_of_a_call_that_waits_and_goes_on(path: Path) -> None:
    """Each question is told once, when its commit is durable, with the ticket that the answer may name:
    that the run then waits, at its end or later, tells none of them again."""
    planner = eraser(ERASE, "gone")
    async with running(path, planner) as runtime:
        first = [event async for event in await runtime.start("planner", "go", thread="t1")]
        assert isinstance(first[-1], RunFinished)
        resumed = await runtime.decide(first[-1].result.run_id, [Decision.approve("c1")])
        assert resumed
        second = [event async for event in resumed]

    (asked,) = [event for event in first if isinstance(event, ToolSuspended | ToolFinished)]
    assert isinstance(asked, ToolSuspended)
    assert (asked.call_id, asked.name, asked.suspension.message) == ("c1", "erase", "Call erase?")
    assert [type(event) for event in second][:4] == [RunResumed, ToolDecided, ToolStarted, ToolFinished]


async def test_a_thread_whose_run_waits_takes_no_other_and_says_for_what(path: Path) -> None:
    """so a run never begins with questions that an earlier one has left open"""
    planner = eraser(ERASE)
    first = await run(path, planner)

    async with running(path, planner) as runtime:
        (call,) = runtime.pending(first.run_id)
        assert call.suspension
        ticket = call.suspension.ticket
        with pytest.raises(RunError, match=f"waits for .*{ticket}.* on thread 't1'"):
            await runtime.start("planner", "again", thread="t1")

    assert len(history(path)) == 4


async def test_a_call_id_that_comes_again_while_it_waits_gets_another(path: Path) -> None:
    """providers reuse ids, and a decision must be for one call only"""
    planner = eraser([ERASE, ADD], ERASE, "done")

    result = await run(path, planner)

    async with running(path, planner) as runtime:
        ids = [call.call_id for call in runtime.pending(result.run_id)]
    assert (result.status, len(ids), "c1" in ids) == ("waiting", 2, True)
