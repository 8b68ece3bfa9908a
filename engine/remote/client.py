"""The A2A SDK at the edge: plain data goes in and comes out, and whatever goes wrong is one kind of error.

The SDK writes headers into the HTTP client that it is given, so there is one for each agent. A token goes to
the host of the agent's address and to no other; wherever a server sends it back, it is blotted out.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.client.transports.http_helpers import parse_sse_stream
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.errors import A2AError, InternalError, InvalidAgentResponseError, MethodNotFoundError
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message as Protobuf

from ...store.document import dumps, loads
from ...store.errors import ContentError, in_words
from ..agents import RemoteAgent
from .extension import IDEMPOTENT
from .remote_error import Kind, RemoteError

DEADLINE = 30.0
"""Seconds that a server has for an answer."""

CARD = "/.well-known/agent-card.json"
_LARGEST_EXACT = 2**53
_LONGEST_PROBLEM = 2000
"""Characters of an error that are kept. Gateways answer with whole pages."""

_PASSING = (408, 425, 429)
"""HTTP errors apart from 5xx that may be over when one tries again."""

T = TypeVar("T")


class Remote:
    """A remote agent as it is asked: open it with `async with`. Everything raises `RemoteError`."""

    def __init__(self, agent: RemoteAgent) -> None:
        self._agent = agent
        self._token = os.environ.get(agent.token_env, "") if agent.token_env else ""
        self._http = httpx.AsyncClient(timeout=None, event_hooks={"request": [_with_body]})
        self._asking: Client
        self._stream = ""
        """Where it tells what happens, if it does."""
        self.is_connected = False
        """Whether its card was read."""
        self.is_idempotent = False
        """Whether a message may be sent twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Shielded: a run that was cancelled must close its connections too.
        with anyio.CancelScope(shield=True):
            await self._http.aclose()

    async def card(self) -> dict[str, Any]:
        """The agent card, as it is now; from now on the agent is asked as it says."""
        address = self._agent.url
        url = address if urlsplit(address).path.endswith(".json") else address.rstrip("/") + CARD
        headers = {"Authorization": f"Bearer {self._key()}"} if self._agent.token_env else {}
        answer = await self._within(lambda: self._http.get(url, headers=headers))
        with self._told():
            answer.raise_for_status()
            card = ParseDict(answer.json(), AgentCard(), ignore_unknown_fields=True)
        if not (card.name and card.supported_interfaces):
            raise RemoteError("refused", f"there is no agent card of protocol 1.0 at {url!r}")
        self._connect(card)
        return self._plain(card)

    async def send(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message: the task that it is for now, without waiting for what comes of it."""
        with self._told():
            request = SendMessageRequest(
                message=ParseDict({**message, "role": "ROLE_USER"}, SendMessageRequest().message),
                configuration=SendMessageConfiguration(return_immediately=True),
            )

        async def sent() -> list[Protobuf]:
            return [answer async for answer in self._asking.send_message(request)]

        answer = self._plain((await self._within(sent))[-1])
        task: dict[str, Any] | None = answer.get("task")
        if task is not None:
            return task
        # It has answered without a task: then that is all there is.
        said = answer.get("message", {})
        context = said.get("contextId") or message["contextId"]
        status = {"state": "TASK_STATE_COMPLETED", "message": said}
        return {"id": "", "contextId": context, "status": status}

    async def get(self, task_id: str) -> dict[str, Any]:
        """A task as it is now, with all that was said in it."""
        request = GetTaskRequest(id=task_id)
        return self._plain(await self._within(lambda: self._asking.get_task(request)))

    async def listed(self, context: str, page: str) -> tuple[list[dict[str, Any]], str]:
        """A page of the tasks of a conversation, of all if it is empty; and the next page, if any."""
        request = ListTasksRequest(context_id=context, page_token=page, page_size=100, history_length=1000)
        answer = await self._within(lambda: self._asking.list_tasks(request))
        return [self._plain(task) for task in answer.tasks], answer.next_page_token

    async def cancel(self, task_id: str) -> dict[str, Any]:
        """Cancel a task: as it is then."""
        request = CancelTaskRequest(id=task_id)
        return self._plain(await self._within(lambda: self._asking.cancel_task(request)))

    @property
    def can_stream(self) -> bool:
        """Whether the server tells what happens, without being asked."""
        return bool(self._stream)

    async def updates(self, task_id: str, tell: Callable[[dict[str, Any]], None]) -> None:
        """Tell what the server says of a task as it happens, until it says no more."""
        asked = {"jsonrpc": "2.0", "id": task_id, "method": "SubscribeToTask", "params": {"id": task_id}}
        headers = {"Accept": "text/event-stream"}
        # Not by the SDK's client: on an error it leaves generators behind that nobody can close.
        with self._told():
            async with self._http.stream("POST", self._stream, json=asked, headers=headers) as answer:
                answer.raise_for_status()
                if "text/event-stream" not in answer.headers.get("content-type", ""):
                    raise RemoteError("finished", "there is nothing more to be told")
                # Nothing is awaited inside, and nothing raised: left in the midst, this one could not be.
                async for _, data in parse_sse_stream(answer):
                    tell(self._event(data))

    def _event(self, data: str) -> dict[str, Any]:
        try:
            event = loads(self._redacted(data).encode())["result"]
        except (ContentError, KeyError, TypeError):
            return {}
        return event if isinstance(event, dict) else {}

    def _connect(self, card: AgentCard) -> None:
        bindings = ["JSONRPC", "HTTP+JSON"]
        with self._told():
            config = ClientConfig(False, True, self._http, supported_protocol_bindings=bindings)
            self._asking = ClientFactory(config).create(card)
        by_rpc = [each.url for each in card.supported_interfaces if each.protocol_binding == "JSONRPC"]
        self._stream = by_rpc[0] if by_rpc and card.capabilities.streaming else ""
        self.is_idempotent = any(each.uri == IDEMPOTENT for each in card.capabilities.extensions)
        if self._agent.token_env:
            self._entrust(card)
        self.is_connected = True

    def _entrust(self, card: AgentCard) -> None:
        own = _origin(self._agent.url)
        others = {each.url for each in card.supported_interfaces if _origin(each.url) != own}
        if others:
            raise RemoteError(
                "refused",
                f"the card of {self._agent.url!r} names {sorted(others)}: they do not get its token",
            )
        self._http.headers["Authorization"] = f"Bearer {self._key()}"

    def _key(self) -> str:
        if not self._token:
            raise RemoteError("refused", f"set {self._agent.token_env} to the token for {self._agent.url!r}")
        return self._token

    async def _within(self, call: Callable[[], Awaitable[T]]) -> T:
        with self._told():
            with anyio.fail_after(DEADLINE):
                return await call()
        raise AssertionError("an error is told, or there is an answer")

    def _plain(self, message: Protobuf) -> dict[str, Any]:
        plain: dict[str, Any] = _exact(loads(self._redacted(dumps(MessageToDict(message)).decode()).encode()))
        return plain

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (A2AError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ContentError) as err:
            raise self._error(err) from None
        except (KeyError, TypeError, AttributeError, ParseError) as err:
            # The SDK trips over what is no answer of the protocol.
            raise RemoteError("unreachable", f"the answer makes no sense: {in_words(err)[:200]}") from None

    def _error(self, err: Exception) -> RemoteError:
        cause = err if isinstance(err, httpx.HTTPError) else err.__cause__
        was_sent = not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout)
        problem = "it did not answer in time" if isinstance(err, TimeoutError) else in_words(err)
        problem = self._redacted(f"{self._agent.url}: {problem}")[:_LONGEST_PROBLEM]
        return RemoteError(_kind(err, cause), problem, was_sent)

    def _redacted(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


def _kind(err: Exception, cause: BaseException | None) -> Kind:
    if isinstance(cause, httpx.HTTPStatusError):
        code = cause.response.status_code
        if code in (404, 405, 501):
            return "unsupported"
        return "unreachable" if code >= 500 or code in _PASSING else "refused"
    match err:
        case TaskNotFoundError():
            return "lost"
        case UnsupportedOperationError() | MethodNotFoundError():
            return "unsupported"
        case TaskNotCancelableError():
            return "finished"
        case A2AError() if not isinstance(err, A2AClientError | InternalError | InvalidAgentResponseError):
            return "refused"
    return "unreachable"


def _exact(value: Any) -> Any:
    """With whole numbers as such: the protocol knows only floats."""
    match value:
        case dict():
            return {key: _exact(each) for key, each in value.items()}
        case list():
            return [_exact(each) for each in value]
        case float() if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
    return value


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


class _Body(httpx.AsyncByteStream):
    """A request's body that may be left in the midst: of httpx it is a generator, which trio minds."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def _with_body(request: httpx.Request) -> None:
    request.stream = _Body(await request.aread())
