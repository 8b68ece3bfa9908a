"""Models that fail: what is tried again, when, with which model, and that the log says all of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from runs import Asking, CountedEffects, agent, hearing, history, reasons, run, running, said, state

from threadlog.engine import (
    Agent,
    Context,
    Effects,
    ModelError,
    ModelRequest,
    RetryPolicy,
    ScriptedModel,
    State,
    ToolCall,
    Turn,
)
from threadlog.engine.events.event import AttemptFailed, TextDelta
from threadlog.engine.loop.step import BROKEN_OFF, CUT_OFF
from threadlog.engine.models.model import ErrorKind, FinishPart, Part, TextPart, ToolCallDelta, ToolCallPart
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import Append
from threadlog.store import Log
from threadlog.store.changeset import Inference, Usage
from threadlog.store.errors import DefinitionError

pytestmark = pytest.mark.anyio

RETRYABLE: list[ErrorKind] = ["rate_limit", "timeout", "connection", "overloaded", "server"]
FINAL: list[ErrorKind] = ["auth", "request", "context_length", "unknown"]


class Recorded(CountedEffects):
    """The world of these tests: it says how long it would have slept."""


def failing(kind: ErrorKind, retry_after: float | None = None) -> ModelError:
    return ModelError(kind, f"{kind}!", retry_after)


class Breaking:
    """A model that answers in parts; an error among them breaks it off. One list for each request."""

    name = "breaking"

    def __init__(self, *answers: list[Part | ModelError]) -> None:
        self._answers = iter(answers)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        for part in next(self._answers):
            if isinstance(part, ModelError):
                raise part
            yield part


class Tried:
    """A run with models that fail, the world it slept in, and what the log has of its inferences."""

    def __init__(self, path: Path, planner: Agent) -> None:
        self.path, self.planner, self.effects = path, planner, Recorded()

    async def run(self) -> Any:
        result = await run(self.path, self.planner, effects=self.effects)
        with Log.open(self.path, readonly=True) as log:
            assert await replay_run(log, result.run_id, [self.planner]) is None
        return result

    def inferences(self) -> list[Inference]:
        return [changeset.inference for changeset in history(self.path) if changeset.inference]

    def attempts(self) -> list[tuple[str, str | None]]:
        """The model and the kind of error of each attempt that gave no turn."""
        return [(a.model, a.kind) for inference in self.inferences() for a in inference.attempts]


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_what_may_pass_is_tried_again(path: Path, kind: ErrorKind) -> None:
    tried = Tried(path, agent(failing(kind), "hello"))

    assert (await tried.run()).output == "hello"
    assert (tried.attempts(), tried.effects.slept) == ([("scripted", kind)], [0.25])


@pytest.mark.parametrize("kind", FINAL)
async def test_what_will_not_pass_goes_to_the_next_model_at_once(path: Path, kind: ErrorKind) -> None:
    tried = Tried(path, agent(failing(kind), "never", fallbacks=[ScriptedModel("hello", name="second")]))

    assert (await tried.run()).output == "hello"
    assert (tried.attempts(), tried.effects.slept) == ([("scripted", kind)], [])
    assert tried.inferences()[0].model == "second"


async def test_every_model_has_its_attempts_in_order(path: Path) -> None:
    errors = [failing("server")] * 9
    models = [ScriptedModel(*errors, name="second"), ScriptedModel(*errors, name="third")]
    tried = Tried(path, agent(*errors, fallbacks=models))

    result = await tried.run()

    assert [model for model, _ in tried.attempts()] == ["scripted"] * 2 + ["second"] * 2 + ["third"] * 2
    assert result.termination.detail == "model='third' attempt=2/2: server: server!"
    assert reasons(path) == ["run_started", "run_finished"]


async def test_waits_are_doubled_up_to_the_longest(path: Path) -> None:
    policy = RetryPolicy(attempts=6, backoff=0.5, max_backoff=3, budget=100)
    tried = Tried(path, agent(*[failing("server")] * 5, "hello", retry=policy))

    await tried.run()

    assert tried.effects.slept == [0.5, 1, 2, 3, 3]
    assert [a.wait for a in tried.inferences()[0].attempts] == [
        500_000,
        1_000_000,
        2_000_000,
        3_000_000,
        3_000_000,
    ]


async def test_what_the_provider_asks_to_wait_is_waited_whole(path: Path) -> None:
    """jitter does not shorten it"""
    tried = Tried(path, agent(failing("rate_limit", 7.5), "hello"))
    tried.effects.jittered = lambda seconds, part: 0.0  # type: ignore[method-assign]

    assert (await tried.run()).output == "hello"
    assert tried.effects.slept == [7.5]


async def test_a_wait_beyond_the_budget_is_not_waited_for(path: Path) -> None:
    tried = Tried(path, agent(failing("rate_limit", 10.5), "never", fallbacks=[ScriptedModel("never")]))

    result = await tried.run()

    detail = "model='scripted' attempt=1/2: rate_limit: rate_limit! (retry budget exhausted)"
    assert (result.termination.detail, tried.effects.slept) == (detail, [])


async def test_the_budget_is_of_all_waits_of_an_inference_together(path: Path) -> None:
    """of the waits alone: what models took for their answers is not known again when a run is replayed"""
    policy = RetryPolicy(attempts=9, backoff=1, max_backoff=9, budget=6)
    tried = Tried(path, agent(*[failing("server")] * 8, retry=policy))

    result = await tried.run()

    assert tried.effects.slept == [1, 2]
    assert str(result.termination.detail).endswith("(retry budget exhausted)")


async def test_the_jitter_makes_a_wait_longer_or_shorter_by_its_part() -> None:
    """the longest one, too: to cut it there would bring half of all who wait back at the same moment"""
    waits = [Effects().jittered(10, 0.2) for _ in range(100)]

    assert all(8 <= wait <= 12 for wait in waits)
    assert len(set(waits)) > 1


async def test_a_wait_is_jittered_by_a_fifth_unless_the_agent_says_otherwise(path: Path) -> None:
    tried = Tried(path, agent(failing("server"), "hello"))
    jitters: list[tuple[float, float]] = []

    def jittered(seconds: float, part: float) -> float:
        jitters.append((seconds, part))
        return 3.0

    tried.effects.jittered = jittered  # type: ignore[method-assign]

    await tried.run()

    assert (jitters, tried.effects.slept) == ([(0.25, 0.2)], [3.0])


async def test_with_one_attempt_nothing_is_tried_again(path: Path) -> None:
    """Other systems have a switch for the start of a stream besides; here an attempt is one whole request."""
    tried = Tried(path, agent(failing("server"), "never", retry=RetryPolicy(attempts=1)))

    assert (await tried.run()).termination.detail == "model='scripted' attempt=1/1: server: server!"


WRONG = ({"attempts": 0}, {"backoff": -1}, {"max_backoff": -1}, {"jitter": -0.1}, {"budget": -1})


@pytest.mark.parametrize("fields", WRONG, ids=str)
def test_a_policy_that_asks_nobody_or_waits_less_than_nothing_is_refused(fields: Any) -> None:
    """Other systems make one attempt of none"""
    with pytest.raises(DefinitionError):
        RetryPolicy(**fields)


async def test_an_unknown_error_of_a_model_is_an_answer_of_the_world(path: Path) -> None:
    tried = Tried(path, agent(KeyError("what")))

    result = await tried.run()

    assert result.termination.detail == "model='scripted' attempt=1/2: unknown: 'what'"


async def test_an_error_without_utf_8_does_not_cost_the_run_its_end(path: Path) -> None:
    result = await Tried(path, agent(ValueError("\ud800"))).run()

    assert result.termination.detail == "model='scripted' attempt=1/2: unknown: ?"
    assert reasons(path)[-1] == "run_finished"


async def test_behaviors_are_told_that_no_model_answered(path: Path) -> None:
    """by the text, which names the model and the kind of error"""

    def note(context: Context) -> list[State]:
        told = (context.phase.value, context.error, context.turn)
        return [State(Append("/told", told[0]))] if told[1:] == (problem, None) else []

    problem = "model='scripted' attempt=2/2: server: server!"
    errors = [failing("server")] * 2

    await Tried(path, agent(*errors, behaviors=[Asking(note)])).run()

    assert state(path) == {"told": ["after_inference", "step_end"]}


async def test_listeners_are_told_of_failed_attempts(path: Path) -> None:
    async with running(path, agent(failing("server"), "hello"), effects=Recorded()) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert [e for e in events if isinstance(e, AttemptFailed)] == [
        AttemptFailed("scripted", "server: server!")
    ]


async def test_the_next_run_works_after_every_model_has_failed(path: Path) -> None:
    requests: list[ModelRequest] = []
    planner = agent(ValueError("no"), hearing(requests, "fine"))

    for _ in range(2):
        await run(path, planner)

    assert said(requests[0]) == [("user", "go"), ("user", "go")]


async def test_a_text_that_breaks_off_is_kept_and_gone_on_with(path: Path) -> None:
    requests: list[ModelRequest] = []
    first = Breaking([TextPart("hel"), TextPart("lo "), failing("connection")])
    second = ScriptedModel(hearing(requests, "world"))
    tried = Tried(path, agent(model=Switching(first, second)))

    result = await tried.run()

    assert result.output == "hello world"
    assert said(requests[0]) == [("user", "go"), ("assistant", "hello "), ("user", BROKEN_OFF)]
    assert reasons(path) == ["run_started", "assistant_turn", "assistant_turn", "run_finished"]
    assert [inference.finish_reason for inference in tried.inferences()] == ["interrupted", "stop"]
    assert history(path)[1].messages[1].visibility == "internal"


class Switching:
    """One model for the first request, another for the rest."""

    name = "switching"

    def __init__(self, first: Any, rest: Any) -> None:
        self._models = [first]
        self._rest = rest

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        model = self._models.pop() if self._models else self._rest
        async for part in model.stream(request):
            yield part


async def test_the_step_that_broke_off_ends_without_its_last_phases(path: Path) -> None:
    """nobody is told of half a turn; the next step has all of them"""
    seen: list[str] = []

    def note(context: Context) -> None:
        seen.append(context.phase.value)

    first = Breaking([TextPart("hello "), failing("connection")])

    await run(path, agent(model=Switching(first, ScriptedModel("world")), behaviors=[Asking(note)]))

    begun = ["step_start", "before_inference"]
    assert seen == ["run_start", *begun, *begun, "after_inference", "step_end", "run_end"]


async def test_a_model_whose_streams_keep_breaking_off_gives_way_to_the_next(path: Path) -> None:
    broken: list[list[Part | ModelError]] = [[TextPart(text), failing("connection")] for text in "AB"]
    second = ScriptedModel("C", name="second")
    tried = Tried(path, agent(model=Breaking(*broken), fallbacks=[second]))

    assert (await tried.run()).output == "ABC"
    assert [inference.model for inference in tried.inferences()] == ["breaking", "breaking", "second"]


async def test_a_whole_turn_gives_a_model_its_chances_back(path: Path) -> None:
    broken: list[Part | ModelError] = [TextPart("A"), failing("connection")]
    whole: list[Part | ModelError] = [ToolCallPart(ToolCall("add", {"a": 1, "b": 1}, "c1")), FinishPart()]
    rest: list[Part | ModelError] = [TextPart("B"), FinishPart("stop")]
    tried = Tried(
        path, agent(model=Breaking(broken, whole, broken, rest), fallbacks=[ScriptedModel("never")])
    )

    assert (await tried.run()).output == "AB"


async def test_a_piece_stays_a_piece_when_a_call_breaks_off_behind_it(path: Path) -> None:
    """Other systems forget it. It is in the conversation, and the model was told to go on from there."""
    answers: list[list[Part | ModelError]] = [
        [TextPart("hello "), failing("connection")],
        [ToolCallDelta("add", "{"), failing("connection")],
        [TextPart("world"), FinishPart("stop")],
    ]

    assert (await Tried(path, agent(model=Breaking(*answers))).run()).output == "hello world"


async def test_a_text_that_always_breaks_off_is_given_up_in_the_end(path: Path) -> None:
    """after three pieces: a run goes on three times, whatever cut its answers off"""
    answers: list[list[Part | ModelError]] = [[TextPart(text), failing("connection")] for text in "abcdefgh"]
    tried = Tried(path, agent(model=Breaking(*answers)))

    result = await tried.run()

    assert result.termination.type == "error"
    assert [
        message.content for c in history(path) for message in c.messages if message.role == "assistant"
    ] == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize("parts", [[], [TextPart("I call"), ToolCallDelta("add", '{"a"')]])
async def test_without_text_or_with_a_call_the_whole_answer_is_asked_for_again(
    path: Path, parts: list[Part]
) -> None:
    answers: list[list[Part | ModelError]] = [[*parts, failing("connection")]]
    tried = Tried(path, agent(model=Breaking(*answers, [TextPart("hello"), FinishPart("stop")])))

    result = await tried.run()

    (inference,) = tried.inferences()
    assert (result.output, inference.attempts[0].called) == ("hello", len(parts) > 1)
    assert inference.attempts[0].text == "".join(part.text for part in parts if isinstance(part, TextPart))


async def test_a_text_that_breaks_off_for_good_is_not_gone_on_with(path: Path) -> None:
    answers: list[list[Part | ModelError]] = [[TextPart("I "), failing("auth")]]
    tried = Tried(path, agent(model=Breaking(*answers)))

    assert (await tried.run()).termination.type == "error"
    assert tried.inferences()[0].attempts[0].text == "I "


@pytest.mark.parametrize("nothing", [[], [TextPart("")]], ids=len)
async def test_a_stream_without_anything_is_tried_again(path: Path, nothing: list[Part | ModelError]) -> None:
    tried = Tried(path, agent(model=Breaking(nothing, [TextPart("hello"), FinishPart("stop")])))

    assert (await tried.run()).output == "hello"
    assert tried.attempts() == [("breaking", "connection")]


async def test_streams_without_anything_are_given_up_in_the_end(path: Path) -> None:
    result = await Tried(path, agent(model=Breaking([], []))).run()

    detail = "model='breaking' attempt=2/2: connection: the stream was empty"
    assert result.termination.detail == detail


async def test_an_end_alone_is_an_answer(path: Path) -> None:
    result = await Tried(path, agent(model=Breaking([FinishPart("stop")]))).run()

    assert result.termination.type == "natural_end"


async def test_an_empty_piece_of_text_is_told_to_nobody(path: Path) -> None:
    parts: list[Part | ModelError] = [TextPart(""), TextPart("hello"), FinishPart("stop")]
    async with running(path, agent(model=Breaking(parts))) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta("hello")]


async def test_a_call_of_nothing_is_no_call(path: Path) -> None:
    """it could not be sent back to the provider, and the thread would be of no use any more"""
    calls = [ToolCall("", {}, "c1"), ToolCall("add", {"a": 1, "b": 1}, "c2")]

    assert (await Tried(path, agent(calls, "done")).run()).output == "done"
    assert [call.id for call in history(path)[1].messages[0].tool_calls] == ["c2"]


def cut(text: str) -> Turn:
    return Turn(text=text, finish_reason="length", usage=Usage(output_tokens=1))


async def test_an_answer_that_is_cut_off_is_gone_on_with(path: Path) -> None:
    requests: list[ModelRequest] = []
    tried = Tried(path, agent(cut("partial, "), hearing(requests, "complete")))

    result = await tried.run()

    assert (result.output, result.usage.output_tokens) == ("partial, complete", 1)
    assert said(requests[0])[1:] == [("assistant", "partial, "), ("user", CUT_OFF)]
    assert history(path)[1].messages[1].visibility == "internal"


async def test_after_three_pieces_more_the_answer_is_what_there_is(path: Path) -> None:
    tried = Tried(path, agent(*map(cut, "abcdef")))

    result = await tried.run()

    said = [message.content for c in history(path) for message in c.messages if message.role == "assistant"]
    assert (result.termination.type, result.output, said) == ("natural_end", "abcd", [*"abcd"])


async def test_what_made_the_answers_pieces_is_counted_together_and_never_anew(path: Path) -> None:
    """a model that cannot come to an end shall not go on for ever, with calls in between or not"""
    add = Turn(text="I add. ", tool_calls=[ToolCall("add", {"a": 1, "b": 1})])
    broken = Breaking([TextPart("x"), failing("connection")])
    rest = ScriptedModel(*map(cut, "ab"), add, cut("c"), "never")

    assert (await Tried(path, agent(model=Switching(broken, rest))).run()).output == "c"


async def test_only_a_model_that_says_so_was_cut_off(path: Path) -> None:
    """Other systems guess it from the tokens: an answer that is just as long would be asked to go on"""
    parts: list[Part | ModelError] = [TextPart("whole"), FinishPart(None, Usage(output_tokens=5))]
    tried = Tried(path, agent(model=Breaking(parts), settings={"max_tokens": 5}))

    assert (await tried.run()).output == "whole"
    assert tried.inferences()[0].finish_reason is None


async def test_a_cut_off_turn_with_calls_is_no_piece(path: Path) -> None:
    turn = Turn(text="I add. ", tool_calls=[ToolCall("add", {"a": 1, "b": 1})], finish_reason="length")

    result = await Tried(path, agent(turn, "done")).run()

    assert result.output == "done"


async def test_the_output_is_the_last_answer_alone(path: Path) -> None:
    turn = Turn(text="I add. ", tool_calls=[ToolCall("add", {"a": 1, "b": 1})])

    assert (await Tried(path, agent(turn, "done")).run()).output == "done"


async def test_a_listener_hears_every_piece(path: Path) -> None:
    async with running(path, agent(cut("one "), "two")) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two"
