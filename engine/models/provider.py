"""Models of real providers, by name: `openai:gpt-5`, `anthropic:claude-…`, and others that pydantic-ai knows.

Requests go through the direct layer of pydantic-ai, in `pydantic_ai_client`. The first request imports it:
the import takes a second, which reading a log or defining an agent should not cost. The retries of the SDKs
are off. The run itself retries, and its log shows each attempt.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from anyio import CancelScope, to_thread
from anyio.lowlevel import RunVar

from ...store.errors import DefinitionError
from .model import ModelRequest, Part
from .settings import SETTINGS

if TYPE_CHECKING:
    from .pydantic_ai_client import Client


_EXTRAS = {
    "openai": "openai",
    "openai-chat": "openai",
    "openai-responses": "openai",
    "anthropic": "anthropic",
}
"""The extra that installs a provider's SDK, which has the same name. Other SDKs are extras of pydantic-ai."""


class ProviderModel:
    """A model of a provider: one HTTP request for each `stream()`.

    `settings` are the defaults of every request. Without `api_key`, the key comes from the environment
    variable of the provider (`OPENAI_API_KEY`, …). No part, message or error contains the key.

    As a context manager, the model keeps its connections between requests. Otherwise each request opens its
    own, which costs about 30 ms of CPU time. Entering the context imports nothing and sends nothing.

    Raises:
        DefinitionError: the name is not `provider:model`, a setting is unknown, or an extra is missing.
    """

    def __init__(
        self,
        name: str,
        *,
        settings: Mapping[str, Any] | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        _refuse_name(name)
        if unknown := sorted({*(settings or {})} - SETTINGS):
            raise DefinitionError(
                f"the model {name!r} has no setting {unknown[0]!r}, only {sorted(SETTINGS)}"
            )
        self._name = name
        self._settings = dict(settings or {})
        self._address = (base_url, api_key)
        self._by_loop: RunVar[_Connection] = RunVar(name)

    def __repr__(self) -> str:
        return f"ProviderModel({self._name!r})"

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Part]:
        """Stream the parts of one answer.

        Raises:
            ModelError: there is no answer, or it broke off; earlier parts remain valid.
            DefinitionError: pydantic-ai knows no such provider, or the provider's SDK is missing.
        """
        client = await self._client()
        async with aclosing(client.stream(request, self._settings)) as parts:
            async for part in parts:
                yield part

    async def __aenter__(self) -> Self:
        self._connection().holders += 1
        return self

    async def __aexit__(self, *raised: object) -> None:
        connection = self._connection()
        connection.holders -= 1
        if connection.client and connection.is_kept and not connection.holders:
            connection.is_kept = False
            with CancelScope(shield=True):
                await connection.client.model.__aexit__(None, None, None)

    async def _client(self) -> "Client":
        connection = self._connection()
        if connection.client is None:
            client = await to_thread.run_sync(_connect, self._name, *self._address)
            connection.client = connection.client or client  # another task may have been faster
        if connection.holders and not connection.is_kept:
            connection.is_kept = True
            with CancelScope(shield=True):
                await connection.client.model.__aenter__()
        return connection.client

    def _connection(self) -> "_Connection":
        connection = self._by_loop.get(None)
        if connection is None:
            connection = _Connection()
            self._by_loop.set(connection)
        return connection


@dataclass(slots=True)
class _Connection:
    """The connections of a model on one event loop: they belong to the loop that opened them."""

    client: "Client | None" = None
    holders: int = 0
    """How many callers have entered the model and not left it yet."""

    is_kept: bool = False
    """Whether the client stays open between requests, for the holders."""


def _connect(name: str, base_url: str | None, api_key: str | None) -> "Client":
    from .pydantic_ai_client import connect

    return connect(name, base_url=base_url, api_key=api_key)


def _refuse_name(name: str) -> None:
    provider, _, model = name.partition(":")
    if not provider or not model:
        raise DefinitionError(f"{name!r} names no model: write provider:model, as in openai:gpt-5")
    extra = _EXTRAS.get(provider, "llm")
    needed = ["pydantic_ai"] if extra == "llm" else ["pydantic_ai", extra]
    if missing := [module for module in needed if find_spec(module) is None]:
        raise DefinitionError(
            f"the model {name!r} needs {missing[0]}, which is not installed: pip install 'threadlog[{extra}]'"
        )
