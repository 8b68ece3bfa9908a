"""What real providers are tried with: the servers, the requests, and ways to look at an answer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from support.anthropic_server import MESSAGES
from support.openai_server import CHAT, RESPONSES
from support.provider_server import Call, FakeProvider
from threadlog.engine import Model, ModelRequest, ProviderModel, ToolCall, Turn
from threadlog.engine.models.model import (
    Collector,
    FinishPart,
    ModelError,
    Part,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolSpec,
)
from threadlog.store import Message

MARKS = [
    pytest.mark.anyio,
    # The SDKs leave generators of a stream that broke off to be collected. Trio says so; nothing is held.
    pytest.mark.filterwarnings("ignore:Async generator '(openai|anthropic|httpx2|httpcore2|pydantic_ai)"),
]
WIRES = (CHAT, RESPONSES, MESSAGES)
MODELS = [wire.model for wire in WIRES]
KEY = "sk-test-a-secret-never-shown"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = ToolSpec("weather", "The weather of a city.", SCHEMA)
OSLO = Call("c1", "weather", ('{"ci', 'ty": "Oslo"}'))
ROME = Call("c2", "weather", ('{"city": "Rome"}',))


@contextmanager
def running() -> Iterator[dict[str, FakeProvider]]:
    """A server for each format, by the model that it has."""
    with ExitStack() as servers:
        yield {wire.model: servers.enter_context(FakeProvider(wire)) for wire in WIRES}


def model_of(provider: FakeProvider, **options: Any) -> ProviderModel:
    return ProviderModel(provider.wire.model, **{"base_url": provider.url, "api_key": KEY, **options})


def ask(*messages: Message, settings: dict[str, Any] | None = None) -> ModelRequest:
    said = messages or (user("weather?"),)
    return ModelRequest(said, (WEATHER,), settings or {})


def user(text: str) -> Message:
    return Message(id=text, role="user", content=text)


def assistant(turn: Turn) -> Message:
    """As the loop keeps it."""
    return Message(
        id="a", role="assistant", content=turn.text, tool_calls=tuple(turn.tool_calls), provider=turn.provider
    )


def results(*calls: ToolCall) -> list[Message]:
    return [Message(id=f"r{c.id}", role="tool", content="21 degrees", tool_call_id=c.id) for c in calls]


def thinker(provider: FakeProvider) -> ProviderModel:
    return ProviderModel(provider.wire.reasoner, base_url=provider.url, api_key=KEY)


async def parts_of(model: Model, request: ModelRequest | None = None) -> list[Part]:
    return [part async for part in model.stream(request or ask())]


async def turn_of(model: Model, request: ModelRequest | None = None) -> Turn:
    collector = Collector()
    for part in await parts_of(model, request):
        collector.add(part)
    return collector.turn()


async def broken(model: Model, request: ModelRequest | None = None) -> tuple[list[Part], ModelError]:
    """The parts that came, and what then went wrong."""
    parts: list[Part] = []
    try:
        async for part in model.stream(request or ask()):
            parts.append(part)
    except ModelError as error:
        return parts, error
    pytest.fail(f"nothing went wrong: {parts}")


def finish(parts: Sequence[Part]) -> FinishPart:
    assert isinstance(parts[-1], FinishPart)
    return parts[-1]


def texts(parts: Sequence[Part]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextPart)]


def calls(parts: Sequence[Part]) -> list[ToolCall]:
    return [part.call for part in parts if isinstance(part, ToolCallPart)]


def deltas(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, ToolCallDelta))
