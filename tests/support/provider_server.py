"""A provider on loopback: a real server that says what it was told to say, and keeps what it was asked.

What the two fakes have in common; how each puts it on the wire is in `fake_openai` and `fake_anthropic`.
"""

import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]
Kind = Literal["rate_limit", "overloaded", "server", "auth", "context_length", "request"]


class Call(NamedTuple):
    """A tool call, its arguments in the pieces that they are sent in."""

    id: str
    name: str
    pieces: tuple[str, ...]


class Thought(NamedTuple):
    """Reasoning that the provider wants to see again, unchanged."""

    text: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A streamed answer. `then` is what comes after its content: the end, or something worse."""

    texts: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    thought: Thought | None = None
    reason: Literal["stop", "length"] = "stop"
    then: Literal["finish", "cut", "tear", "drop", "fail", "hang"] = "finish"


@dataclass(frozen=True)
class Refusal:
    """An error instead of an answer."""

    why: Kind
    headers: Mapping[str, str] = field(default_factory=dict)
    says: str = "no"
    status: int | None = None
    """Instead of the one that goes with `why`."""


Script = Answer | Refusal | Literal["silence", "nothing"]


@dataclass(frozen=True)
class Wire:
    """A provider's format."""

    model: str
    reasoner: str
    """A model that is known to take a reasoning effort."""

    path: str
    base: str
    """What stands before `path` in the address that an SDK is given."""

    writes_cache: bool
    """Whether it says how many tokens it wrote to its cache."""

    content: Callable[[Answer], Iterator[str]]
    finish: Callable[[Answer], Iterator[str]]
    failure: Callable[[], str]
    """An error in the midst of a stream: overloaded."""

    refusal: Callable[[Refusal], tuple[int, Json]]
    said: Callable[[Json], list[tuple[Any, ...]]]
    """What a request says: `(role, text)`, `("call", id, name, arguments)`, `("result", id, text)`."""

    tools: Callable[[Json], list[tuple[str, str, Json]]]
    settings: Callable[[Json], Json]
    thoughts: Callable[[Json], list[Thought]]


class Asked(NamedTuple):
    """One request, as it came."""

    body: Json
    headers: Mapping[str, str]
    port: int
    """The client's own: the same for requests on one connection."""


class FakeProvider:
    """Answers with its scripts, one a request, in order; after the last as it was told last."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.forget()
        # Made as TCP by name, so that asyncio sends small pieces at once: else each kept request waits 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{wire.base}"
        routes = [Route(wire.base + wire.path, self._answer, methods=["POST"])]
        config = uvicorn.Config(
            Starlette(routes=routes), log_level=60, lifespan="off", loop="asyncio", http="h11", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def forget(self) -> None:
        self.asked: list[Asked] = []
        self.arrived, self.left = Event(), Event()
        self._scripts: deque[Script] = deque()

    def will(self, *scripts: Script) -> None:
        self._scripts.extend(scripts)

    def __enter__(self) -> Self:
        self._thread.start()  # the socket listens already: who comes early waits
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _answer(self, request: Request) -> Response:
        assert request.client
        self.asked.append(Asked(await request.json(), request.headers, request.client.port))
        self.arrived.set()
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        match script:
            case Refusal():
                status, body = self.wire.refusal(script)
                return JSONResponse(body, script.status or status, script.headers)
            case "silence":
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                self.left.set()
                return Response()
            case "nothing":
                return Response(media_type="text/event-stream")
            case Answer():
                return StreamingResponse(self._stream(script), media_type="text/event-stream")

    async def _stream(self, answer: Answer) -> AsyncIterator[str]:
        for piece in self.wire.content(answer):
            yield piece
        match answer.then:
            case "finish":
                for piece in self.wire.finish(answer):
                    yield piece
            case "tear":
                yield next(self.wire.finish(answer))[:-9]
            case "fail":
                yield self.wire.failure()
            case "drop":
                raise ConnectionAbortedError
            case "hang":
                try:
                    await anyio.sleep_forever()
                finally:
                    self.left.set()


def event(data: Json, name: str | None = None) -> str:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n"


def parsed(arguments: str) -> Any:
    """Arguments as a value, or as the text that they are."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
