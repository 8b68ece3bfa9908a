from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.log_reads import read_history, read_messages, read_tool_results
from support.long_conversations import dump, read, read_calls
from support.models import recording_model, request_messages
from support.runtimes import open_runtime, run_agent
from threadlog.engine import (
    Agent,
    Compaction,
    Decision,
    ModelError,
    ModelRequest,
    Permission,
    ScriptedModel,
    TokenBudget,
    ToolCall,
    Turn,
)
from threadlog.engine.behaviors.compaction import SUMMARY_TOKENS
from threadlog.engine.behaviors.excerpt import PREVIEW_CHARACTERS, estimate_tokens
from threadlog.reducers import replay
from threadlog.store import Message
from threadlog.store.changeset import Usage

anyio = pytest.mark.anyio


def agent(model: ScriptedModel, summarizer: ScriptedModel, **options: Any) -> Agent:
    compaction = Compaction(summarizer, **{"threshold": 250, "keep": 1, "min_gain": 1, **options})
    return Agent("planner", model, "base", [read, dump], [compaction])


def summarized(request: ModelRequest) -> list[str]:
    """The summaries in a request."""
    return [
        content for _, content in request_messages(request) if content.startswith("<conversation-summary>")
    ]


def boundary(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = replay(read_history(path)).state["__context"]["boundary"]
    return found


@anyio
async def test_a_short_conversation_is_shown_as_it_is(path: Path) -> None:
    model, requests = recording_model(read_calls("a"), "done")
    summarizer, asked = recording_model()

    await run_agent(path, agent(model, summarizer))

    assert [role for role, _ in request_messages(requests[1])] == ["system", "user", "assistant", "tool"]
    assert (asked, "__context" in replay(read_history(path)).state) == ([], False)


@anyio
async def test_a_long_one_is_told_by_a_summary_and_the_log_keeps_it_all(path: Path) -> None:
    model, requests = recording_model(read_calls("a"), read_calls("b"), read_calls("c"), "done")
    summarizer, asked = recording_model("a was read")

    await run_agent(path, agent(model, summarizer))

    told = "<conversation-summary>\na was read\n</conversation-summary>"
    assert request_messages(requests[3])[:2] == [("system", "base"), ("user", told)]
    assert [role for role, _ in request_messages(requests[3])[2:]] == ["assistant", "tool"]
    assert len(read_messages(path)) == 8
    assert asked[0].settings == {"max_tokens": SUMMARY_TOKENS}
    assert (
        'user: go\n\nassistant: \n[calls read {"path":"a"}]\n\ntool: a: word'
        in request_messages(asked[0])[1][1]
    )


@anyio
async def test_the_state_says_what_the_summary_stands_for(path: Path) -> None:
    """when it was made is the moment of its changeset; previews are made anew for each request"""
    model, _ = recording_model(read_calls("a"), read_calls("b"), read_calls("c"), "done")

    await run_agent(path, agent(model, recording_model("a was read")[0]))

    told = read_messages(path)[:5]
    assert boundary(path) == {
        "covers_through_message_id": told[-1].id,
        "summary": "a was read",
        "original_tokens": estimate_tokens(told),
    }


@anyio
async def test_the_summary_is_asked_for_once_and_its_answer_is_in_the_log(path: Path) -> None:
    model, requests = recording_model(
        read_calls("a"), read_calls("b"), read_calls("c"), read_calls("d"), "done"
    )
    summarizer, asked = recording_model("the first")

    await run_agent(path, agent(model, summarizer, threshold=320))

    effects = [effect for changeset in read_history(path) for effect in changeset.effects]
    assert (len(asked), len(effects)) == (1, 1)
    assert (effects[0].name, effects[0].answer) == ("Compaction:summary", "the first")
    assert len(summarized(requests[4])) == 1


@anyio
async def test_a_later_summary_is_made_of_the_earlier_one_and_what_came_behind_it(path: Path) -> None:
    model, requests = recording_model(*map(read_calls, "abcde"), "done")
    summarizer, asked = recording_model("the first", "the second")

    await run_agent(path, agent(model, summarizer))

    assert "the first\n</conversation-summary>\n\nassistant: " in request_messages(asked[1])[1][1]
    assert summarized(requests[-1]) == ["<conversation-summary>\nthe second\n</conversation-summary>"]


@anyio
async def test_what_the_model_has_not_answered_to_is_shown_as_it_is(path: Path) -> None:
    """however long it is, and however little is to be kept"""
    model, requests = recording_model(read_calls("a", "b", "c"), "done")
    summarizer, _ = recording_model("summary")

    await run_agent(path, agent(model, summarizer, keep=0, large_result=10))

    results = [content for role, content in request_messages(requests[1]) if role == "tool"]
    assert sorted(content[:2] for content in results) == ["a:", "b:", "c:"]
    assert all(len(content) > 400 for content in results)


@anyio
async def test_a_run_goes_on_where_the_one_before_it_had_the_boundary(path: Path) -> None:
    """Other systems load none of what the summary stands for; behaviors here see the conversation whole."""
    model, requests = recording_model(*map(read_calls, "abc"), "done", "again")
    async with open_runtime(path, agent(model, recording_model("a was read")[0], threshold=320)) as runtime:
        for prompt in ("go", "go on"):
            await (await runtime.start("planner", prompt, thread="t1")).result()

    assert summarized(requests[-1]) == ["<conversation-summary>\na was read\n</conversation-summary>"]
    assert request_messages(requests[-1])[-1] == ("user", "go on")


@anyio
async def test_a_call_that_waits_for_a_person_is_not_covered(path: Path) -> None:
    async def pay() -> str:
        """Pay."""
        return "paid"

    model, requests = recording_model(
        [ToolCall("pay", id="c1"), *read_calls("a")],
        *map(read_calls, "bc"),
        "so far",
        read_calls("d"),
        "done",
    )
    compaction = Compaction(recording_model("summary")[0], threshold=250, keep=1, min_gain=1)
    planner = Agent(
        "planner", model, tools=[read, pay], behaviors=[Permission(ask=["pay"], default="allow"), compaction]
    )
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        resumed = await runtime.decide(started.run_id, [Decision.approve("c1")])
        assert resumed
        await resumed.result()

    waits = "Tool 'pay' is awaiting approval. Execution paused."
    assert [("tool", waits) in request_messages(request) for request in requests] == [
        False,
        *[True] * 3,
        False,
        False,
    ]
    assert [len(summarized(request)) for request in requests] == [0, 0, 0, 0, 0, 1]


@anyio
async def test_large_results_are_shortened_before_anything_is_summarized(path: Path) -> None:
    """and only where the conversation is too long: the model is not to be without what there is room for"""
    model, requests = recording_model([ToolCall("dump")], read_calls("a"), "done")
    summarizer, asked = recording_model()

    await run_agent(path, agent(model, summarizer, threshold=1000, large_result=2048))

    sizes = [[len(content) for role, content in request_messages(r) if role == "tool"] for r in requests]
    assert sizes[1] == [12000]
    assert PREVIEW_CHARACTERS < sizes[2][0] < PREVIEW_CHARACTERS + 60
    assert asked == []
    assert len(read_messages(path)[2].content) == 12000


@anyio
async def test_the_tokens_of_a_summary_are_the_run_s(path: Path) -> None:
    """in its result, in the log, and for what limits them"""
    model, _ = recording_model(*map(read_calls, "abc"), "done")
    summary = Turn(text="a was read", usage=Usage(input_tokens=300, output_tokens=20))

    result = await run_agent(path, agent(model, ScriptedModel(summary)))

    facts = read_history(path)[-1].run
    assert facts
    assert (result.usage, facts.usage) == (summary.usage, summary.usage)
    assert [effect.usage for c in read_history(path) for effect in c.effects] == [summary.usage]


@anyio
async def test_a_run_is_stopped_by_the_tokens_of_a_summary(path: Path) -> None:
    model, _ = recording_model(*map(read_calls, "abcd"), "done")
    summary = Turn(text="a was read", usage=Usage(input_tokens=300, output_tokens=20))

    result = await run_agent(
        path, replace(agent(model, ScriptedModel(summary)), stop_when=[TokenBudget(320)])
    )

    assert (result.termination.code, len(read_tool_results(path))) == ("token_budget_exceeded", 4)


NONE: list[Any] = [ValueError("no luck"), ModelError("overloaded", "later"), "", " \n"]


@anyio
@pytest.mark.parametrize("answer", NONE, ids=repr)
async def test_without_a_summary_the_request_goes_out_as_it_is(path: Path, answer: Any) -> None:
    model, requests = recording_model(*map(read_calls, "abc"), "done")

    result = await run_agent(path, agent(model, ScriptedModel(answer, answer, answer)))

    assert (result.output, summarized(requests[-1])) == ("done", [])
    assert len(request_messages(requests[-1])) == 8
    assert "__context" not in replay(read_history(path)).state


@anyio
async def test_a_summary_that_would_stand_for_little_is_not_made(path: Path) -> None:
    model, requests = recording_model(*map(read_calls, "abc"), "done")
    summarizer, asked = recording_model()

    await run_agent(path, agent(model, summarizer, min_gain=1024))

    assert (asked, summarized(requests[-1])) == ([], [])


@anyio
async def test_system_messages_that_lead_the_conversation_stay(path: Path) -> None:
    model, requests = recording_model(*map(read_calls, "abc"), "done")
    prompt = [Message(id="s", role="system", content="rules"), Message(id="u", role="user", content="go")]
    async with open_runtime(path, agent(model, recording_model("a was read")[0])) as runtime:
        await (await runtime.start("planner", prompt, thread="t1")).result()

    assert [content for _, content in request_messages(requests[3])[:2]] == ["base", "rules"]
    assert len(summarized(requests[3])) == 1
