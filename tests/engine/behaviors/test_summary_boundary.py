"""The boundary of a summary: where it may be, and what it never covers."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.log_reads import read_payloads
from support.long_conversations import conversations, has_paired_answers
from support.models import recording_model, request_messages
from support.runtimes import run_agent
from threadlog.engine import Agent, Behavior, Compaction, Context, ModelRequest, Runtime, ScriptedModel, State
from threadlog.engine.behaviors.compaction import MoveBoundary
from threadlog.engine.behaviors.excerpt import PREVIEW_LINES, Boundary, Excerpt, insert_summary, preview
from threadlog.engine.models.history import repair_history
from threadlog.store import Changeset, Log, Message, TrackedPatch

anyio = pytest.mark.anyio


class Moves(Behavior):
    """Puts the boundary behind a message of its own choice."""

    def run_start(self, context: Context) -> State:
        through = Boundary(covers_through_message_id="nowhere", summary="lost", original_tokens=1)
        return State(MoveBoundary(boundary=through))


@anyio
async def test_a_boundary_behind_a_message_that_is_not_there_changes_nothing(path: Path) -> None:
    model, requests = recording_model("done")
    compaction = Compaction(ScriptedModel())

    await run_agent(path, Agent("planner", model, behaviors=[Moves(), compaction]))

    assert request_messages(requests[0]) == [("user", "go")]
    assert len(read_payloads(path, "MoveBoundary")) == 1


@anyio
async def test_a_boundary_that_is_none_ends_the_run(path: Path) -> None:
    """Other systems go on as if there were no summary. Only its action writes here: the log was edited."""
    patch = TrackedPatch(operations=({"op": "add", "path": "/__context", "value": 5},), source="me")
    with Log.open(path) as log:
        log.append(Changeset(id="c", thread_id="t1", reason="edited", at=1, patches=(patch,)), 0)
    planner = Agent("planner", ScriptedModel(), behaviors=[Compaction(ScriptedModel())])

    async with Runtime.open(path, agents=[planner]) as runtime:
        result = await (await runtime.start("planner", "go", thread="t1")).result()

    assert "behavior 'Compaction' failed in before_inference" in (result.termination.detail or "")


def test_a_preview_is_the_beginning_and_says_how_much_is_left_out() -> None:
    lines = preview("\n".join("abc" * 30)).splitlines()

    assert (len(lines), lines[-1]) == (PREVIEW_LINES + 1, "[132 characters are left out here]")


@given(conversations(), st.integers(0, 30))
def test_a_summary_never_parts_a_call_from_its_answer(
    made: tuple[list[Message], set[str]], settled: int
) -> None:
    """of every request, however it is cut, a provider finds each call answered right behind it"""
    messages, waiting = made
    cut = Excerpt(messages, settled=min(settled, len(messages))).frontier(waiting)
    through = messages[cut - 1].id if cut else ""
    told = Excerpt(messages, Boundary(covers_through_message_id=through, summary="s", original_tokens=1))
    assert told.boundary

    request = ModelRequest(repair_history(messages, waiting))
    result = insert_summary(request, hidden=told.hidden_ids(), boundary=told.boundary)

    assert has_paired_answers(result.messages)
    kept = {message.id for message in messages[cut:]}
    assert kept <= {message.id for message in result.messages}


@given(conversations(), st.integers(0, 30))
def test_a_call_that_waits_is_never_covered(made: tuple[list[Message], set[str]], settled: int) -> None:
    """its answer comes later, and must find it"""
    messages, waiting = made

    cut = Excerpt(messages, settled=min(settled, len(messages))).frontier(waiting)

    issued = {call.id: n for n, message in enumerate(messages) for call in message.tool_calls}
    assert all(issued[id] >= cut for id in waiting)
