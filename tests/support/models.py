"""Models that tests control, and models that record their requests."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio

from support.waiting import TIMEOUT
from threadlog.engine import ModelError, ModelRequest, ScriptedModel
from threadlog.engine.models.model import FinishPart, Part, TextPart
from threadlog.engine.models.scripted import Answer, Script


class GatedRequest:
    """A request that waits for the test to answer it."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.response: Answer = "done"
        self.answered = anyio.Event()
        self.finished = anyio.Event()
        """Set when the run no longer waits, because of an answer or an interruption."""

    def answer(self, response: Answer) -> None:
        self.response = response
        self.answered.set()


class GatedModel:
    """A model whose every request waits until the test answers it."""

    name = "gated"

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called when a request arrives and when it finishes."""
        self.waiting: list[GatedRequest] = []
        """Requests without an answer."""
        self._on_change = on_change
        self._new: list[GatedRequest] = []
        self._arrived = anyio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        gated = GatedRequest(request)
        self.waiting.append(gated)
        self._new.append(gated)
        self._arrived.set()
        self._on_change()
        try:
            await gated.answered.wait()
        finally:
            self.waiting.remove(gated)
            gated.finished.set()
            self._on_change()
        async for part in ScriptedModel(gated.response).stream(request):
            yield part

    async def next_request(self) -> GatedRequest:
        """Return the next request, in order of arrival. Skips requests that were interrupted."""
        with anyio.fail_after(TIMEOUT):
            while True:
                while self._new:
                    if not (gated := self._new.pop(0)).finished.is_set():
                        return gated
                self._arrived = anyio.Event()
                await self._arrived.wait()

    async def answer_all(self, response: Answer) -> None:
        """Answer every request alike, until cancelled."""
        while True:
            while self._new:
                self._new.pop(0).answer(response)
            self._arrived = anyio.Event()
            await self._arrived.wait()


class PacedModel:
    """Streams its text in pieces once `may_write` is set."""

    name = "paced"

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces
        self.may_write = anyio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        for piece in self._pieces:
            await self.may_write.wait()
            yield TextPart(piece)
        yield FinishPart("stop")


class BreakingModel:
    """Streams one list of parts per request. An error in a list breaks the stream."""

    name = "breaking"

    def __init__(self, *answers: list[Part | ModelError]) -> None:
        self._answers = iter(answers)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        for part in next(self._answers):
            if isinstance(part, ModelError):
                raise part
            yield part


class SwitchingModel:
    """Answers the first request with one model and all later ones with another."""

    name = "switching"

    def __init__(self, first: Any, rest: Any) -> None:
        self._models = [first]
        self._rest = rest

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        model = self._models.pop() if self._models else self._rest
        async for part in model.stream(request):
            yield part


def recorded_turn(requests: list[ModelRequest], turn: Script) -> Callable[[ModelRequest], Answer]:
    """Return a turn of a script that adds the request it answers to `requests`."""

    def answer(request: ModelRequest) -> Answer:
        requests.append(request)
        return turn(request) if callable(turn) else turn

    return answer


def recording_model(*turns: Script, name: str = "scripted") -> tuple[ScriptedModel, list[ModelRequest]]:
    """Return a scripted model and the list that its requests are added to."""
    requests: list[ModelRequest] = []
    return ScriptedModel(*(recorded_turn(requests, turn) for turn in turns), name=name), requests


def request_messages(request: ModelRequest) -> list[tuple[str, str]]:
    """Return role and content of each message of a request."""
    return [(message.role, message.content) for message in request.messages]


def offered_tools(request: ModelRequest) -> list[str]:
    """Return the names of the tools in a request."""
    return [tool.name for tool in request.tools]
