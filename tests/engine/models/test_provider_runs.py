"""Whole runs over the real SDKs against servers on loopback: the log shows each attempt, and replays."""

from pathlib import Path

import pytest

from support.checks import assert_replays
from support.log_reads import read_messages
from support.provider_requests import KEY, MARKS, OSLO, ROME, model_of
from support.provider_server import Answer, Call, FakeProvider, Kind, Refusal
from threadlog.engine import Agent, RetryPolicy, Runtime, tool
from threadlog.engine.events.event import RunResult, TextDelta
from threadlog.store import Log
from threadlog.store.changeset import Inference, Interruption, Termination

pytestmark = MARKS


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def agent(provider: FakeProvider) -> Agent:
    retry = RetryPolicy(attempts=2, backoff=0.01, jitter=0)
    return Agent("forecaster", model_of(provider), tools=[weather], retry=retry)


async def run(path: Path, provider: FakeProvider) -> RunResult:
    asked = agent(provider)
    async with Runtime.open(path, agents=[asked], durability="normal") as runtime:
        result = await (await runtime.start("forecaster", "weather?", thread="t1")).result()
    await assert_replays(path, asked)
    return result


def inferences(path: Path) -> list[Inference]:
    with Log.open(path, readonly=True) as log:
        return [changeset.inference for changeset in log.read("t1") if changeset.inference]


async def test_text_and_parallel_calls_make_a_run(path: Path, provider: FakeProvider) -> None:
    provider.will(Answer(calls=(OSLO, ROME)), Answer(texts=("Warm ", "everywhere.")))

    result = await run(path, provider)

    assert result.output == "Warm everywhere."
    told = sorted(message.content for message in read_messages(path) if message.role == "tool")
    assert told == ["21 degrees in Oslo", "21 degrees in Rome"]


async def test_the_tokens_of_all_answers_are_the_run_s(path: Path, provider: FakeProvider) -> None:
    provider.will(Answer(calls=(OSLO,)), Answer(texts=("Warm.",)))

    result = await run(path, provider)

    logged = [inference.usage for inference in inferences(path)]
    assert len(logged) == 2
    assert result.usage.input_tokens == sum(usage.input_tokens for usage in logged) > 0
    assert result.usage.cache_read_tokens == sum(usage.cache_read_tokens for usage in logged) > 0


@pytest.mark.parametrize("why", ["rate_limit", "server"])
async def test_a_refusal_that_passes_is_an_attempt_in_the_log(
    path: Path, provider: FakeProvider, why: Kind
) -> None:
    provider.will(Refusal(why, {"retry-after": "0"}), Answer(texts=("Warm.",)))

    result = await run(path, provider)

    assert result.output == "Warm."
    ((attempt,),) = (inference.attempts for inference in inferences(path))
    assert (attempt.outcome, attempt.kind) == ("failed", why)


@pytest.mark.parametrize("why", ["auth", "context_length"])
async def test_a_refusal_that_does_not_pass_ends_the_run(
    path: Path, provider: FakeProvider, why: Kind
) -> None:
    provider.will(Refusal(why))

    result = await run(path, provider)

    assert result.termination.type == "error"
    assert f"attempt 1 of 2: {why}:" in (result.termination.detail or "")
    assert [attempt.kind for attempt in inferences(path)[-1].attempts] == [why]


async def test_a_stream_cut_in_its_text_is_gone_on_with(path: Path, provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Warm ",), then="cut"), Answer(texts=("everywhere.",)))

    result = await run(path, provider)

    assert result.output == "Warm everywhere."
    assert inferences(path)[0].finish_reason == "interrupted"
    assert inferences(path)[0].attempts[0].text == "Warm "


async def test_a_stream_cut_in_a_call_is_asked_for_again(path: Path, provider: FakeProvider) -> None:
    torn = Call("c1", "weather", ('{"city": "Os',))
    provider.will(Answer(calls=(torn,), then="cut"), Answer(calls=(OSLO,)), Answer(texts=("Warm.",)))

    result = await run(path, provider)

    assert result.output == "Warm."
    assert inferences(path)[0].attempts[0].began_tool_call
    assert [m.content for m in read_messages(path) if m.role == "tool"] == ["21 degrees in Oslo"]


async def test_a_hanging_answer_can_be_cancelled(path: Path, provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Warm ",), then="hang"))
    asked = agent(provider)

    async with Runtime.open(path, agents=[asked], durability="normal") as runtime:
        run = await runtime.start("forecaster", "weather?", thread="t1")
        async for event in run:
            if isinstance(event, TextDelta):
                await runtime.cancel(run.run_id)
        result = await run.result()

    assert result.termination == Termination(type="cancelled", interrupted=Interruption(kind="inference"))
    assert inferences(path)[-1].attempts[-1].text == "Warm "
    await assert_replays(path, asked)


async def test_the_key_is_nowhere_in_the_log(path: Path, provider: FakeProvider) -> None:
    provider.will(
        Refusal("rate_limit", {"retry-after": "0"}, says=f"bad key {KEY}"), Answer(texts=("Warm.",))
    )

    await run(path, provider)

    with Log.open(path, readonly=True) as log:
        assert not any(KEY in changeset.model_dump_json() for changeset in log.read("t1"))
