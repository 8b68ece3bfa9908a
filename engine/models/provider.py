"""Models of real providers, by name: `openai:gpt-5`, `anthropic:claude-…`, and all else pydantic-ai knows.

What asks is pydantic-ai's direct layer, in `provider_client`. That is imported with the first request: it
takes a second, which whoever only reads a log or defines an agent shall not wait for. The SDKs' own retries
are off: a run retries by itself, and its log shows each attempt.
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
"""The extra that brings a provider's SDK; named as the module in it. Other SDKs are pydantic-ai's extras."""


class ProviderModel:
    """A model asked over the network: one HTTP request for each `stream()`.

    `settings` hold for every request that does not say otherwise. The key comes from the provider's
    environment variable (`OPENAI_API_KEY`, …) unless it is given; it stands in no part, message or error.
    Used as a context manager it keeps its connections between requests; else each request opens its own,
    which costs some 30 ms of computing. Entering it imports nothing and sends nothing.

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
        self._by_loop: RunVar[_Here] = RunVar(name)

    def __repr__(self) -> str:
        return f"ProviderModel({self._name!r})"

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Part]:
        """The parts of one answer.

        Raises:
            ModelError: no answer, or not all of it; parts that came before stand.
            DefinitionError: pydantic-ai knows no such provider, or the provider's SDK is missing.
        """
        client = await self._connected()
        async with aclosing(client.stream(request, self._settings)) as parts:
            async for part in parts:
                yield part

    async def __aenter__(self) -> Self:
        self._here().holders += 1
        return self

    async def __aexit__(self, *raised: object) -> None:
        here = self._here()
        here.holders -= 1
        if here.client and here.is_kept and not here.holders:
            here.is_kept = False
            with CancelScope(shield=True):
                await here.client.model.__aexit__(None, None, None)

    async def _connected(self) -> "Client":
        here = self._here()
        if here.client is None:
            made = await to_thread.run_sync(_connect, self._name, *self._address)
            here.client = here.client or made  # another task may have been faster
        if here.holders and not here.is_kept:
            here.is_kept = True
            with CancelScope(shield=True):
                await here.client.model.__aenter__()
        return here.client

    def _here(self) -> "_Here":
        if (here := self._by_loop.get(None)) is None:
            self._by_loop.set(here := _Here())
        return here


@dataclass(slots=True)
class _Here:
    """What one event loop has of a model: connections belong to the loop that opened them."""

    client: "Client | None" = None
    holders: int = 0
    """Who has entered the model, and not yet left it."""

    is_kept: bool = False
    """Whether the client is open for the holders, beyond single requests."""


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
