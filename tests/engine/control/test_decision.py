"""Decisions: each question is answered once, by the first decision."""

from pathlib import Path
from typing import Any

import pytest

from support.agents import approval_agent, scripted_agent
from support.approvals import APPROVE, DENY
from support.behaviors import act_in
from support.log_reads import read_actions, read_call_statuses, read_reasons, read_tool_results
from support.runtimes import open_runtime, run_agent
from support.tools import ERASE
from threadlog.engine import Decision, Suspend, ToolCall, tool
from threadlog.store.errors import ContentError, NotFound, RunError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("decisions", [[APPROVE, Decision.approve("c9")], [Decision.approve("")]])
async def test_a_batch_with_an_unknown_target_is_refused_whole(path: Path, decisions: list[Decision]) -> None:
    first = await run_agent(path, approval_agent(ERASE))

    async with open_runtime(path, approval_agent()) as runtime:
        with pytest.raises(RunError, match="is not waiting for a decision about"):
            await runtime.decide(first.run_id, decisions)

    assert read_reasons(path)[-1] == "run_suspended"


async def test_a_decision_that_cannot_be_stored_is_refused(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE))

    async with open_runtime(path, approval_agent()) as runtime:
        for result in (float("nan"), object(), "\ud800"):
            with pytest.raises(ContentError):
                await runtime.decide(first.run_id, [Decision.approve("c1", result)])

    assert read_reasons(path)[-1] == "run_suspended"


WRONG: list[dict[str, Any]] = [
    {"approved": "no"},
    {"approved": "denied"},
    {"approved": 1},
    {"approved": None},
    {"approved": {"approved": False}},
    {"approved": True, "reason": 5},
    {"approved": True, "by": 5},
    {"approved": True, "id": 5},
]


@pytest.mark.parametrize("given", WRONG, ids=repr)
async def test_a_decision_is_true_or_false_and_never_guessed(path: Path, given: dict[str, Any]) -> None:
    """Turning the text of a form or a chat into a yes or no is up to the caller. Guessing from words
    takes "no, thanks" for consent."""
    decision = Decision("c1", **given)
    first = await run_agent(path, approval_agent(ERASE))
    async with open_runtime(path, approval_agent()) as runtime:
        with pytest.raises(ContentError, match="the decision about 'c1' cannot be stored: "):
            await runtime.decide(first.run_id, [decision])
        with pytest.raises(ContentError, match="the decision about 'c1' cannot be stored: "):
            await runtime.resume(first.run_id, [decision])
        assert await runtime.cancel(first.run_id)

    assert read_reasons(path)[-2:] == ["run_suspended", "run_finished"]


async def test_an_unknown_run_is_refused(path: Path) -> None:
    async with open_runtime(path, approval_agent()) as runtime:
        for ask in (runtime.decide("r9", [APPROVE]), runtime.resume("r9"), runtime.cancel("r9")):
            with pytest.raises(NotFound, match="there is no run 'r9'"):
                await ask


async def test_repeating_a_decision_is_a_no_op(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE, "gone"))

    async with open_runtime(path, approval_agent("gone")) as runtime:
        (call,) = runtime.pending(first.run_id)
        assert call.suspension
        resumed = await runtime.decide(first.run_id, [APPROVE, APPROVE])
        assert resumed
        await resumed.result()
        await runtime.decide(first.run_id, [APPROVE])
        await runtime.decide(first.run_id, [Decision.approve(call.suspension.ticket, by="me")])

    assert (len(read_actions(path, "DecideToolCall")), read_tool_results(path)) == (1, ["erased"])


@pytest.mark.parametrize("other", [DENY, Decision.approve("c1", 5)])
async def test_a_contradicting_decision_is_refused(path: Path, other: Decision) -> None:
    first = await run_agent(path, approval_agent(ERASE, "gone"))

    async with open_runtime(path, approval_agent("gone")) as runtime:
        resumed = await runtime.decide(first.run_id, [APPROVE])
        assert resumed
        await resumed.result()
        with pytest.raises(RunError, match="'c1' is already decided"):
            await runtime.decide(first.run_id, [other])

    assert len(read_actions(path, "DecideToolCall")) == 1


async def test_a_batch_that_contradicts_itself_is_refused(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE))

    async with open_runtime(path, approval_agent()) as runtime:
        with pytest.raises(RunError, match="'c1' is already decided"):
            await runtime.decide(first.run_id, [APPROVE, DENY])

    assert read_reasons(path)[-1] == "run_suspended"


async def test_a_decision_counts_once_while_others_are_pending(path: Path) -> None:
    two = [ERASE, ERASE.model_copy(update={"id": "c2"})]
    planner = approval_agent(two, tool_execution="parallel_batch_approval")
    first = await run_agent(path, planner)

    async with open_runtime(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [APPROVE])
        assert resumed
        await resumed.result()
        await runtime.decide(first.run_id, [APPROVE])
        with pytest.raises(RunError, match="already decided"):
            await runtime.decide(first.run_id, [DENY])

    assert read_call_statuses(path) == {"c1": "resuming", "c2": "suspended"}


async def test_a_finished_run_accepts_no_decision(path: Path) -> None:
    first = await run_agent(path, approval_agent("hello"))

    async with open_runtime(path, approval_agent()) as runtime:
        with pytest.raises(RunError, match="is over \\(natural_end\\)"):
            await runtime.decide(first.run_id, [APPROVE])


async def test_a_decision_does_not_answer_the_next_question_of_the_same_call(path: Path) -> None:
    """The same call asks again: the earlier decision does not count."""

    @tool
    def never() -> None: ...

    planner = scripted_agent(
        ToolCall("never", id="c1"), tools=[never], behaviors=[act_in("before_tool_execute", Suspend("x"))]
    )
    first = await run_agent(path, planner)
    async with open_runtime(path, planner) as runtime:
        (before,) = runtime.pending(first.run_id)
        assert before.suspension
        again = await runtime.decide(first.run_id, [APPROVE])
        assert again
        await again.result()
        await runtime.decide(first.run_id, [Decision.approve(before.suspension.ticket)])
        second = await runtime.decide(first.run_id, [DENY])
        assert second
        result = await second.result()

    assert (result.status, read_call_statuses(path)) == ("done", {"c1": "cancelled"})
