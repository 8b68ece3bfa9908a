"""Answers that break off or are cut off: they are continued, asked for again, or kept as they are."""

from pathlib import Path

import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior
from support.log_reads import read_history, read_reasons
from support.models import BreakingModel, SwitchingModel, recorded_turn, request_messages
from support.retries import RetriedRun, model_error
from support.runtimes import open_runtime, run_agent
from threadlog.engine import Context, ModelError, ModelRequest, ScriptedModel, ToolCall, Turn
from threadlog.engine.events.event import TextDelta
from threadlog.engine.loop.step import BROKEN_OFF, CUT_OFF
from threadlog.engine.models.model import FinishPart, Part, TextPart, ToolCallDelta, ToolCallPart
from threadlog.store.changeset import Usage

pytestmark = pytest.mark.anyio


async def test_a_text_that_breaks_off_is_kept_and_gone_on_with(path: Path) -> None:
    requests: list[ModelRequest] = []
    first = BreakingModel([TextPart("hel"), TextPart("lo "), model_error("connection")])
    second = ScriptedModel(recorded_turn(requests, "world"))
    tried = RetriedRun(path, scripted_agent(model=SwitchingModel(first, second)))

    result = await tried.run()

    assert result.output == "hello world"
    assert request_messages(requests[0]) == [("user", "go"), ("assistant", "hello "), ("user", BROKEN_OFF)]
    assert read_reasons(path) == ["run_started", "assistant_turn", "assistant_turn", "run_finished"]
    assert [inference.finish_reason for inference in tried.inferences()] == ["interrupted", "stop"]
    assert read_history(path)[1].messages[1].visibility == "internal"


async def test_the_step_that_broke_off_ends_without_its_last_phases(path: Path) -> None:
    """No subscriber sees half a turn; the next step has all of them."""
    seen: list[str] = []

    def note(context: Context) -> None:
        seen.append(context.phase.value)

    first = BreakingModel([TextPart("hello "), model_error("connection")])

    await run_agent(
        path,
        scripted_agent(model=SwitchingModel(first, ScriptedModel("world")), behaviors=[PhaseBehavior(note)]),
    )

    begun = ["step_start", "before_inference"]
    assert seen == ["run_start", *begun, *begun, "after_inference", "step_end", "run_end"]


async def test_a_model_whose_streams_keep_breaking_off_gives_way_to_the_next(path: Path) -> None:
    broken: list[list[Part | ModelError]] = [[TextPart(text), model_error("connection")] for text in "AB"]
    second = ScriptedModel("C", name="second")
    tried = RetriedRun(path, scripted_agent(model=BreakingModel(*broken), fallbacks=[second]))

    assert (await tried.run()).output == "ABC"
    assert [inference.model for inference in tried.inferences()] == ["breaking", "breaking", "second"]


async def test_a_whole_turn_gives_a_model_its_chances_back(path: Path) -> None:
    broken: list[Part | ModelError] = [TextPart("A"), model_error("connection")]
    whole: list[Part | ModelError] = [ToolCallPart(ToolCall("add", {"a": 1, "b": 1}, "c1")), FinishPart()]
    rest: list[Part | ModelError] = [TextPart("B"), FinishPart("stop")]
    tried = RetriedRun(
        path,
        scripted_agent(model=BreakingModel(broken, whole, broken, rest), fallbacks=[ScriptedModel("never")]),
    )

    assert (await tried.run()).output == "AB"


async def test_a_piece_stays_a_piece_when_a_call_breaks_off_behind_it(path: Path) -> None:
    """Other systems forget it. It is in the conversation, and the model was told to go on from there."""
    answers: list[list[Part | ModelError]] = [
        [TextPart("hello "), model_error("connection")],
        [ToolCallDelta("add", "{"), model_error("connection")],
        [TextPart("world"), FinishPart("stop")],
    ]

    assert (
        await RetriedRun(path, scripted_agent(model=BreakingModel(*answers))).run()
    ).output == "hello world"


async def test_a_text_that_always_breaks_off_is_given_up_in_the_end(path: Path) -> None:
    """Three pieces are the most: a run continues three times, whatever cut its answers off."""
    answers: list[list[Part | ModelError]] = [
        [TextPart(text), model_error("connection")] for text in "abcdefgh"
    ]
    tried = RetriedRun(path, scripted_agent(model=BreakingModel(*answers)))

    result = await tried.run()

    assert result.termination.type == "error"
    assert [
        message.content for c in read_history(path) for message in c.messages if message.role == "assistant"
    ] == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize("parts", [[], [TextPart("I call"), ToolCallDelta("add", '{"a"')]])
async def test_without_text_or_with_a_call_the_whole_answer_is_asked_for_again(
    path: Path, parts: list[Part]
) -> None:
    answers: list[list[Part | ModelError]] = [[*parts, model_error("connection")]]
    tried = RetriedRun(
        path, scripted_agent(model=BreakingModel(*answers, [TextPart("hello"), FinishPart("stop")]))
    )

    result = await tried.run()

    (inference,) = tried.inferences()
    assert (result.output, inference.attempts[0].began_tool_call) == ("hello", len(parts) > 1)
    assert inference.attempts[0].text == "".join(part.text for part in parts if isinstance(part, TextPart))


async def test_a_text_that_breaks_off_for_good_is_not_gone_on_with(path: Path) -> None:
    answers: list[list[Part | ModelError]] = [[TextPart("I "), model_error("auth")]]
    tried = RetriedRun(path, scripted_agent(model=BreakingModel(*answers)))

    assert (await tried.run()).termination.type == "error"
    assert tried.inferences()[0].attempts[0].text == "I "


@pytest.mark.parametrize("nothing", [[], [TextPart("")]], ids=len)
async def test_a_stream_without_anything_is_tried_again(path: Path, nothing: list[Part | ModelError]) -> None:
    tried = RetriedRun(
        path, scripted_agent(model=BreakingModel(nothing, [TextPart("hello"), FinishPart("stop")]))
    )

    assert (await tried.run()).output == "hello"
    assert tried.attempts() == [("breaking", "connection")]


async def test_streams_without_anything_are_given_up_in_the_end(path: Path) -> None:
    result = await RetriedRun(path, scripted_agent(model=BreakingModel([], []))).run()

    detail = "model 'breaking' failed on attempt 2 of 2: connection: the stream was empty"
    assert result.termination.detail == detail


async def test_an_end_alone_is_an_answer(path: Path) -> None:
    result = await RetriedRun(path, scripted_agent(model=BreakingModel([FinishPart("stop")]))).run()

    assert result.termination.type == "natural_end"


async def test_an_empty_piece_of_text_is_told_to_nobody(path: Path) -> None:
    parts: list[Part | ModelError] = [TextPart(""), TextPart("hello"), FinishPart("stop")]
    async with open_runtime(path, scripted_agent(model=BreakingModel(parts))) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta("hello")]


async def test_a_call_of_nothing_is_no_call(path: Path) -> None:
    """it could not be sent back to the provider, and the thread would be of no use any more"""
    calls = [ToolCall("", {}, "c1"), ToolCall("add", {"a": 1, "b": 1}, "c2")]

    assert (await RetriedRun(path, scripted_agent(calls, "done")).run()).output == "done"
    assert [call.id for call in read_history(path)[1].messages[0].tool_calls] == ["c2"]


def cut(text: str) -> Turn:
    return Turn(text=text, finish_reason="length", usage=Usage(output_tokens=1))


async def test_an_answer_that_is_cut_off_is_gone_on_with(path: Path) -> None:
    requests: list[ModelRequest] = []
    tried = RetriedRun(path, scripted_agent(cut("partial, "), recorded_turn(requests, "complete")))

    result = await tried.run()

    assert (result.output, result.usage.output_tokens) == ("partial, complete", 1)
    assert request_messages(requests[0])[1:] == [("assistant", "partial, "), ("user", CUT_OFF)]
    assert read_history(path)[1].messages[1].visibility == "internal"


async def test_after_three_pieces_more_the_answer_is_what_there_is(path: Path) -> None:
    tried = RetriedRun(path, scripted_agent(*map(cut, "abcdef")))

    result = await tried.run()

    said = [
        message.content for c in read_history(path) for message in c.messages if message.role == "assistant"
    ]
    assert (result.termination.type, result.output, said) == ("natural_end", "abcd", [*"abcd"])


async def test_what_made_the_answers_pieces_is_counted_together_and_never_anew(path: Path) -> None:
    """a model that cannot come to an end shall not go on for ever, with calls in between or not"""
    add = Turn(text="I add. ", tool_calls=[ToolCall("add", {"a": 1, "b": 1})])
    broken = BreakingModel([TextPart("x"), model_error("connection")])
    rest = ScriptedModel(*map(cut, "ab"), add, cut("c"), "never")

    assert (await RetriedRun(path, scripted_agent(model=SwitchingModel(broken, rest))).run()).output == "c"


async def test_only_a_model_that_says_so_was_cut_off(path: Path) -> None:
    """Other systems guess it from the tokens: an answer that is just as long would be asked to go on"""
    parts: list[Part | ModelError] = [TextPart("whole"), FinishPart(None, Usage(output_tokens=5))]
    tried = RetriedRun(path, scripted_agent(model=BreakingModel(parts), settings={"max_tokens": 5}))

    assert (await tried.run()).output == "whole"
    assert tried.inferences()[0].finish_reason is None


async def test_a_cut_off_turn_with_calls_is_no_piece(path: Path) -> None:
    turn = Turn(text="I add. ", tool_calls=[ToolCall("add", {"a": 1, "b": 1})], finish_reason="length")

    result = await RetriedRun(path, scripted_agent(turn, "done")).run()

    assert result.output == "done"


async def test_the_output_is_the_last_answer_alone(path: Path) -> None:
    turn = Turn(text="I add. ", tool_calls=[ToolCall("add", {"a": 1, "b": 1})])

    assert (await RetriedRun(path, scripted_agent(turn, "done")).run()).output == "done"


async def test_a_listener_hears_every_piece(path: Path) -> None:
    async with open_runtime(path, scripted_agent(cut("one "), "two")) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two"
