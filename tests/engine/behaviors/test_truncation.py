"""Requests that are too long leave out the oldest of the conversation."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.log_reads import read_messages
from support.long_conversations import LONG_TEXT, conversations, dump, has_paired_answers, read, read_calls
from support.models import recording_model, request_messages
from support.runtimes import open_runtime, run_agent
from threadlog.engine import (
    Agent,
    Compaction,
    ModelRequest,
    Prompts,
    PromptSegment,
    PutPrompt,
    ScriptedModel,
    ToolCall,
    ToolResult,
    Truncation,
)
from threadlog.engine.behaviors.excerpt import conversation_ids, estimate_tokens
from threadlog.engine.behaviors.truncation import LEFT_OUT, truncate
from threadlog.engine.models.history import repair_history
from threadlog.store import Message

anyio = pytest.mark.anyio


async def put() -> ToolResult:
    """Show a text with every request."""
    segment = PromptSegment(key="a", content="about a", target="conversation", role="user")
    return ToolResult("put", [PutPrompt(segment=segment)])


def agent(model: ScriptedModel, *behaviors: Any, max_tokens: int = 400, keep: int = 1) -> Agent:
    cut = Truncation(max_tokens, keep=keep)
    return Agent("planner", model, "base", [read, dump, put], [cut, *behaviors])


@anyio
async def test_what_fits_is_sent_whole(path: Path) -> None:
    model, requests = recording_model(read_calls("a"), "done")

    await run_agent(path, agent(model))

    assert [role for role, _ in request_messages(requests[1])] == ["system", "user", "assistant", "tool"]


@anyio
async def test_the_oldest_rounds_are_left_out_and_the_log_keeps_them(path: Path) -> None:
    model, requests = recording_model(*map(read_calls, "abcd"), "done")

    await run_agent(path, agent(model))

    assert request_messages(requests[4])[:2] == [("system", "base"), ("user", LEFT_OUT.format(5))]
    assert [content[:2] for role, content in request_messages(requests[4]) if role == "tool"] == ["c:", "d:"]
    assert [message.role for message in read_messages(path)].count("tool") == 4


@anyio
async def test_the_messages_to_be_kept_are_kept_although_they_are_too_long(path: Path) -> None:
    """and with them the rest of their round: a provider refuses an answer without its call"""
    model, requests = recording_model(*map(read_calls, "abc"), "done")

    await run_agent(path, agent(model, max_tokens=1, keep=3))

    assert [role for role, _ in request_messages(requests[3])] == [
        "system",
        "user",
        *["assistant", "tool"] * 2,
    ]


@anyio
async def test_what_the_model_has_not_answered_to_is_not_left_out(path: Path) -> None:
    model, requests = recording_model(read_calls("a", "b", "c"), "done")

    await run_agent(path, agent(model, max_tokens=1, keep=0))

    assert [role for role, _ in request_messages(requests[0])] == ["system", "user"]
    assert [role for role, _ in request_messages(requests[1])] == [
        "system",
        "user",
        "assistant",
        *["tool"] * 3,
    ]
    assert request_messages(requests[1])[1] == ("user", LEFT_OUT.format(1))


@anyio
async def test_what_is_no_part_of_the_conversation_stays(path: Path) -> None:
    model, requests = recording_model("hello", read_calls("a"), *map(read_calls, "bc"), "done")
    prompt = [Message(id="s", role="system", content="rules"), Message(id="u", role="user", content="go")]
    async with open_runtime(path, agent(model, Prompts())) as runtime:
        await (await runtime.start("planner", prompt, thread="t1")).result()
        await (await runtime.start("planner", LONG_TEXT, thread="t1")).result()

    begin = [("system", "base"), ("system", "rules"), ("user", LEFT_OUT.format(5))]
    assert request_messages(requests[-1])[:3] == begin


@anyio
async def test_context_messages_stay(path: Path) -> None:
    model, requests = recording_model(ToolCall("put"), *map(read_calls, "abc"), "done")

    await run_agent(path, agent(model, Prompts()))

    assert request_messages(requests[-1])[1:3] == [("user", "about a"), ("user", LEFT_OUT.format(5))]


@anyio
async def test_a_summary_is_written_first_and_stays(path: Path) -> None:
    """In any order of the behaviors: what a summary covers need not be truncated."""
    model, requests = recording_model(*map(read_calls, "abcdef"), "done")
    compaction = Compaction(recording_model(*["some were read"] * 9)[0], threshold=250, keep=1, min_gain=1)

    await run_agent(path, agent(model, compaction))

    assert all("some were read" in request_messages(request)[1][1] for request in requests[3:])
    assert not any(
        LEFT_OUT[:20] in content for request in requests for _, content in request_messages(request)
    )


@anyio
async def test_the_budget_is_of_tools_and_instructions_too(path: Path) -> None:
    model, requests = recording_model(read_calls("a"), read_calls("b"), "done")
    planner = agent(model, max_tokens=400)
    large = Agent("planner", model, "word " * 400, planner.tools, planner.behaviors)

    await run_agent(path, large)

    assert request_messages(requests[2])[1] == ("user", LEFT_OUT.format(3))


@given(conversations(), st.integers(0, 60), st.integers(0, 9))
def test_what_is_left_begins_with_a_whole_round_and_fits_if_it_can(
    made: tuple[list[Message], set[str]], max_tokens: int, keep: int
) -> None:
    """each call of what is left is answered right behind it, and only what does not fit is cut"""
    messages, waiting = made
    request = ModelRequest(repair_history(messages, waiting))

    result = cut(request, messages, max_tokens, keep)

    whole, left = ids(request), ids(result)
    assert has_paired_answers(result.messages)
    assert left == whole[len(whole) - len(left) :]
    assert len(left) >= min(keep, len(whole))
    if estimate_tokens(request.messages) <= max_tokens:
        assert result is request
    elif estimate_tokens(result.messages) > max_tokens:
        assert left == ids(cut(request, messages, 0, keep))


def cut(request: ModelRequest, messages: list[Message], max_tokens: int, keep: int) -> ModelRequest:
    return truncate(request, history=conversation_ids(messages), max_tokens=max_tokens, keep=keep)


def ids(request: ModelRequest) -> list[str]:
    """Of what is left of the conversation."""
    return [message.id for message in request.messages if message.id != "truncated"]
