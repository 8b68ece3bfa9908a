"""Real providers through their real SDKs, against servers on loopback in their formats: what they answer."""

import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from anyio.to_thread import run_sync

from support.provider_requests import (
    KEY,
    MARKS,
    OSLO,
    ROME,
    WIRES,
    ask,
    broken,
    calls,
    deltas,
    finish,
    model_of,
    parts_of,
    texts,
    turn_of,
)
from support.provider_server import Answer, Call, FakeProvider, Kind, Refusal
from threadlog.engine import Agent, ProviderModel, Runtime, ToolCall
from threadlog.engine.models.model import FinishPart, Part, ToolCallPart

pytestmark = MARKS


# Answers


async def test_text_comes_in_the_pieces_that_the_provider_sends(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("It ", "is ", "21.")))

    parts = await parts_of(model_of(provider))

    assert texts(parts) == ["It ", "is ", "21."]
    assert finish(parts).finish_reason == "stop"


async def test_a_call_is_announced_as_it_comes_and_then_given_whole(provider: FakeProvider) -> None:
    provider.will(Answer(calls=(OSLO,)))

    parts = await parts_of(model_of(provider))

    assert deltas(parts) == '{"city": "Oslo"}'
    assert calls(parts) == [ToolCall("weather", {"city": "Oslo"}, "c1")]
    assert finish(parts).finish_reason == "tool_calls"


async def test_parallel_calls_come_in_order_after_the_text(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Both.",), calls=(OSLO, ROME)))

    parts = await parts_of(model_of(provider))

    assert texts(parts) == ["Both."]
    assert [call.id for call in calls(parts)] == ["c1", "c2"]
    assert {type(part) for part in parts[-3:]} == {ToolCallPart, FinishPart}


async def test_arguments_that_are_no_json_stay_the_text_they_are(provider: FakeProvider) -> None:
    sent = ('{"city": ', '{"a":1,"a":2}', "[1]", "")
    provider.will(Answer(calls=tuple(Call(f"c{n}", "weather", (text,)) for n, text in enumerate(sent))))

    got = [call.arguments for call in calls(await parts_of(model_of(provider)))]

    assert got == ['{"city": ', '{"a":1,"a":2}', [1], {}]


@pytest.mark.parametrize(("reason", "arguments"), [("length", ""), ("stop", {})])
async def test_a_call_cut_off_before_its_arguments_is_not_one_without_any(
    provider: FakeProvider, reason: Literal["stop", "length"], arguments: Any
) -> None:
    """As a text they are refused, and the model reads why; some systems drop such a call silently."""
    cut = Call("c2", "weather", ("",))
    provider.will(Answer(calls=(Call("c1", "weather", ("",)), cut), reason=reason))

    got = [call.arguments for call in calls(await parts_of(model_of(provider)))]

    assert got == [{}, arguments]


async def test_usage_counts_what_was_cached_among_what_was_sent(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Yes.",)))

    usage = finish(await parts_of(model_of(provider))).usage

    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (20, 5, 8)
    assert usage.cache_write_tokens == (4 if provider.wire.writes_cache else 0)


async def test_an_answer_that_reached_its_limit_says_so(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("It is",), reason="length"))

    assert finish(await parts_of(model_of(provider))).finish_reason == "length"


async def test_an_answer_with_nothing_but_an_end_is_an_answer(provider: FakeProvider) -> None:
    provider.will(Answer())

    assert [type(part) for part in await parts_of(model_of(provider))] == [FinishPart]


# Errors


async def test_each_refusal_is_an_error_of_its_kind_after_one_request(provider: FakeProvider) -> None:
    kinds: list[Kind] = ["rate_limit", "overloaded", "server", "auth", "context_length", "request"]
    provider.will(*map(Refusal, kinds))

    async with model_of(provider) as model:
        failed = [await broken(model) for _ in kinds]

    assert [(parts, error.kind, error.retry_after) for parts, error in failed] == [
        ([], k, None) for k in kinds
    ]
    assert all(error.__cause__ for _, error in failed)
    assert len(provider.asked) == len(kinds)


async def test_a_status_that_says_no_more_is_an_error_of_its_kind(provider: FakeProvider) -> None:
    kinds = {402: "request", 403: "auth", 404: "request", 408: "timeout", 413: "request", 503: "server"}
    provider.will(*(Refusal("server", status=status) for status in kinds))

    async with model_of(provider) as model:
        failed = [await broken(model) for _ in kinds]

    assert [error.kind for _, error in failed] == [*kinds.values()]


async def test_a_rate_limit_says_how_long_to_wait(provider: FakeProvider) -> None:
    provider.will(Refusal("rate_limit", {"retry-after": "2"}), Refusal("server", {"retry-after-ms": "500"}))

    async with model_of(provider) as model:
        waits = [(await broken(model))[1].retry_after for _ in range(2)]

    assert waits == [2, 0.5]


@pytest.mark.parametrize("then", ["cut", "tear", "drop"])
async def test_a_stream_that_breaks_off_gives_what_came_and_then_fails(
    provider: FakeProvider, then: Literal["cut", "tear", "drop"]
) -> None:
    provider.will(Answer(texts=("It ", "is"), then=then))

    parts, error = await broken(model_of(provider))

    assert texts(parts) == ["It ", "is"]
    assert error.kind == "connection"


async def test_a_stream_cut_in_a_call_shows_that_one_came_but_gives_none(provider: FakeProvider) -> None:
    provider.will(Answer(calls=(Call("c1", "weather", ('{"city": "Os',)),), then="cut"))

    parts, error = await broken(model_of(provider))

    assert (deltas(parts), calls(parts)) == ('{"city": "Os', [])
    assert error.kind == "connection"


async def test_a_provider_may_fail_in_the_midst_of_its_answer(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("It ",), then="fail"))

    parts, error = await broken(model_of(provider))

    assert (texts(parts), error.kind) == (["It "], "overloaded")


async def test_an_empty_stream_is_a_connection_error(provider: FakeProvider) -> None:
    provider.will("nothing")

    parts, error = await broken(model_of(provider))

    assert (parts, error.kind, len(provider.asked)) == ([], "connection", 1)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.model)
async def test_where_nobody_listens_is_a_connection_error(wire: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        model = ProviderModel(wire.model, base_url=f"http://127.0.0.1:{closed.getsockname()[1]}", api_key=KEY)

        assert (await broken(model))[1].kind == "connection"


# Cancellation


async def test_a_cancelled_answer_hangs_up(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("It ",), then="hang"))

    with anyio.CancelScope() as scope:
        async for _ in model_of(provider).stream(ask()):
            scope.cancel()

    assert scope.cancelled_caught
    assert await run_sync(provider.left.wait, 10)


async def test_a_request_that_is_not_answered_can_be_cancelled(provider: FakeProvider) -> None:
    provider.will("silence")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parts_of, model_of(provider))
        await run_sync(provider.arrived.wait, 10)
        tasks.cancel_scope.cancel()

    assert await run_sync(provider.left.wait, 10)


async def test_who_stops_listening_hangs_up(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("It ",), then="hang"))
    stream: AsyncGenerator[Part] = model_of(provider).stream(ask())

    async with aclosing(stream):
        await anext(stream)

    assert await run_sync(provider.left.wait, 10)


# Connections, and whole runs


async def test_an_entered_model_keeps_its_connection_until_the_last_has_left(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Yes.",)))
    model = model_of(provider)

    async with model:
        async with model:
            await parts_of(model)
        await parts_of(model)
    await parts_of(model)

    ports = [asked.port for asked in provider.asked]
    assert ports[0] == ports[1] != ports[2]


def test_a_model_outlives_the_event_loop_that_it_was_used_on(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Yes.",)))
    model = model_of(provider)

    for backend in ("asyncio", "trio", "asyncio"):
        assert anyio.run(turn_of, model, backend=backend).text == "Yes."


async def test_a_run_goes_to_its_end_over_the_wire(provider: FakeProvider, path: Path) -> None:
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"21 degrees in {city}"

    provider.will(Answer(calls=(OSLO, ROME)), Answer(texts=("Warm.",)))
    agent = Agent("forecaster", model_of(provider), instructions="Be brief.", tools=[weather])

    async with Runtime.open(path, agents=[agent], durability="normal") as runtime:
        result = await (await runtime.start("forecaster", "Oslo, Rome?")).result()

    assert (result.output, result.usage.input_tokens) == ("Warm.", 40)
    assert provider.wire.said(provider.asked[1].body)[-2:] == [
        ("result", "c1", "21 degrees in Oslo"),
        ("result", "c2", "21 degrees in Rome"),
    ]
