"""A client of one remote agent: wraps the A2A SDK in plain data and one kind of error.

Each agent has an HTTP client of its own, because the SDK writes headers into it. The bearer token is sent
only to the host of the agent's address. If a server sends it back, it is replaced by `***`.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Self, TypeVar, cast
from urllib.parse import urlsplit

import anyio
import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.transports.http_helpers import parse_sse_stream
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
)
from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH as CARD_PATH
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message as Protobuf

from ...store.document import dumps, loads
from ...store.errors import ContentError
from ..agents import RemoteAgent
from . import protocol
from .protocol import IDEMPOTENT, JsonObject, StreamResponse, Task, TaskMessage, restore_integers
from .remote_error import RemoteError
from .sdk_errors import translate_errors

DEADLINE = 30.0
"""Seconds within which a server must answer."""

T = TypeVar("T")


class RemoteClient:
    """A client of one remote agent, opened with `async with`. Every method raises `RemoteError`.

    Call `card` first: it connects.
    """

    def __init__(self, agent: RemoteAgent) -> None:
        self._agent = agent
        self._token = os.environ.get(agent.token_env, "") if agent.token_env else ""
        self._http = httpx.AsyncClient(timeout=None, event_hooks={"request": [_replace_body]})
        self._client: Client
        self._stream_url = ""
        """Where tasks are streamed; empty if the server does not stream."""
        self.is_connected = False
        """Whether the agent card was read."""
        self.is_idempotent = False
        """Whether the server accepts each message id once."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Shielded: a run that was cancelled must close its connections too.
        with anyio.CancelScope(shield=True):
            await self._http.aclose()

    async def card(self) -> protocol.AgentCard:
        """Read the agent card, and connect to the agent that it describes."""
        address = self._agent.url
        url = address if urlsplit(address).path.endswith(".json") else address.rstrip("/") + CARD_PATH
        headers = {"Authorization": f"Bearer {self._bearer_token()}"} if self._agent.token_env else {}
        answer = await self._call(lambda: self._http.get(url, headers=headers))
        with self._errors():
            answer.raise_for_status()
            card = ParseDict(answer.json(), AgentCard(), ignore_unknown_fields=True)
        if not (card.name and card.supported_interfaces):
            raise RemoteError("refused", f"there is no agent card of protocol 1.0 at {url!r}")
        self._connect(card)
        return self._json(card)

    async def send(self, message: TaskMessage) -> Task:
        """Send a message. Return its task as it is now, without waiting for the task."""
        with self._errors():
            request = SendMessageRequest(
                message=ParseDict({**message, "role": "ROLE_USER"}, SendMessageRequest().message),
                configuration=SendMessageConfiguration(return_immediately=True),
            )

        async def last_answer() -> Protobuf:
            return [answer async for answer in self._client.send_message(request)][-1]

        answer = cast(StreamResponse, self._json(await self._call(last_answer)))
        if "task" in answer:
            return answer["task"]
        # The agent has answered with a message only: present it as a completed task.
        reply = answer.get("message", {})
        context = reply.get("contextId") or message.get("contextId", "")
        return {"id": "", "contextId": context, "status": {"state": "TASK_STATE_COMPLETED", "message": reply}}

    async def get(self, task_id: str) -> Task:
        """Return a task as it is now, with its complete history."""
        request = GetTaskRequest(id=task_id)
        return self._task(await self._call(lambda: self._client.get_task(request)))

    async def list_tasks(self, context: str, page: str) -> tuple[list[Task], str]:
        """Return a page of the tasks of a context, and the token of the next page.

        An empty `context` stands for all contexts, an empty `page` for the first page.
        """
        request = ListTasksRequest(context_id=context, page_token=page, page_size=100, history_length=1000)
        answer = await self._call(lambda: self._client.list_tasks(request))
        return [self._task(task) for task in answer.tasks], answer.next_page_token

    async def cancel(self, task_id: str) -> Task:
        """Cancel a task, and return it."""
        request = CancelTaskRequest(id=task_id)
        return self._task(await self._call(lambda: self._client.cancel_task(request)))

    @property
    def can_stream(self) -> bool:
        """Whether the server streams tasks."""
        return bool(self._stream_url)

    async def subscribe(self, task_id: str, on_event: Callable[[StreamResponse], None]) -> None:
        """Call `on_event` with each event of a task's stream, until the stream ends."""
        body = {"jsonrpc": "2.0", "id": task_id, "method": "SubscribeToTask", "params": {"id": task_id}}
        headers = {"Accept": "text/event-stream"}
        # Not the SDK's client, which leaves asynchronous generators open after an error.
        with self._errors():
            async with self._http.stream("POST", self._stream_url, json=body, headers=headers) as answer:
                answer.raise_for_status()
                if "text/event-stream" not in answer.headers.get("content-type", ""):
                    raise RemoteError("finished", f"task {task_id!r} no longer has a stream")
                # The loop body neither awaits nor raises, so it never leaves the generator early.
                async for _, data in parse_sse_stream(answer):
                    on_event(self._event(data))

    def _event(self, data: str) -> StreamResponse:
        try:
            event = loads(self._redact(data).encode())["result"]
        except (ContentError, KeyError, TypeError):
            return {}
        return cast(StreamResponse, event) if isinstance(event, dict) else {}

    def _connect(self, card: AgentCard) -> None:
        bindings = ["JSONRPC", "HTTP+JSON"]
        with self._errors():
            config = ClientConfig(False, True, self._http, supported_protocol_bindings=bindings)
            self._client = ClientFactory(config).create(card)
        by_rpc = [each.url for each in card.supported_interfaces if each.protocol_binding == "JSONRPC"]
        self._stream_url = by_rpc[0] if by_rpc and card.capabilities.streaming else ""
        self.is_idempotent = any(each.uri == IDEMPOTENT for each in card.capabilities.extensions)
        if self._agent.token_env:
            self._authorize(card)
        self.is_connected = True

    def _authorize(self, card: AgentCard) -> None:
        own = _origin(self._agent.url)
        others = {each.url for each in card.supported_interfaces if _origin(each.url) != own}
        if others:
            raise RemoteError(
                "refused",
                f"the card of {self._agent.url!r} names {sorted(others)}, which do not get its token",
            )
        self._http.headers["Authorization"] = f"Bearer {self._bearer_token()}"

    def _bearer_token(self) -> str:
        if not self._token:
            raise RemoteError("refused", f"set {self._agent.token_env} to the token for {self._agent.url!r}")
        return self._token

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        with self._errors():
            with anyio.fail_after(DEADLINE):
                return await call()
        raise AssertionError("an error is raised, or there is an answer")

    def _errors(self) -> AbstractContextManager[None]:
        return translate_errors(self._agent.url, self._redact)

    def _task(self, message: Protobuf) -> Task:
        return cast(Task, self._json(message))

    def _json(self, message: Protobuf) -> JsonObject:
        text = self._redact(dumps(MessageToDict(message)).decode())
        return cast(JsonObject, restore_integers(loads(text.encode())))

    def _redact(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


class _Body(httpx.AsyncByteStream):
    """The body of a request as an iterator. The one of httpx is a generator, which trio warns about."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def _replace_body(request: httpx.Request) -> None:
    request.stream = _Body(await request.aread())
