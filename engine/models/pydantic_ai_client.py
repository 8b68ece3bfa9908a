"""Requests to a provider through pydantic-ai, with its errors as ours. `provider` imports it late."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlsplit

from anyio import CancelScope
from pydantic_ai import exceptions
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from ...store.errors import DefinitionError
from .model import ErrorKind, FinishPart, ModelError, ModelRequest, Part
from .pydantic_ai_messages import final_parts, provider_messages, stream_part
from .settings import SETTINGS

_KINDS: tuple[tuple[type[Exception], ErrorKind], ...] = (
    (exceptions.ModelRateLimitError, "rate_limit"),
    (exceptions.ModelOverloadedError, "overloaded"),
    (exceptions.ModelUnavailableError, "server"),
    (exceptions.ModelServerError, "server"),
    (exceptions.ModelTimeoutError, "timeout"),
    (exceptions.ModelRequestTimeout, "timeout"),
    (exceptions.ModelConnectionError, "connection"),
    (exceptions.ModelContextWindowExceededError, "context_length"),
    (exceptions.ModelAuthenticationError, "auth"),
    (exceptions.ModelRequestRejectedError, "request"),
    (exceptions.ModelQuotaExceededError, "request"),  # often a 429 too, but no waiting helps
    (exceptions.UnexpectedModelBehavior, "connection"),  # a stream with nothing in it
    (exceptions.UserError, "request"),
    (TimeoutError, "timeout"),
    (OSError, "connection"),
)
"""The kinds of errors. The first matching class counts, so subclasses come before their bases."""

_LONGEST_PROBLEM = 2000
"""How many characters of an error message to keep. Gateways answer with whole pages."""


@dataclass(frozen=True, slots=True)
class Client:
    """A provider's model, connected on one event loop."""

    provider: str
    model: Model
    secrets: tuple[str, ...] = field(repr=False)
    """Texts to hide in errors: the key, and a password in the address."""

    async def stream(self, request: ModelRequest, settings: Mapping[str, Any]) -> AsyncGenerator[Part]:
        calls: dict[int, str] = {}
        try:
            async with (
                self._open() as model,
                model_request_stream(
                    model,
                    provider_messages(request.messages, self.provider),
                    model_settings=_settings(model, {**settings, **request.settings}),
                    model_request_parameters=_parameters(request),
                ) as stream,
            ):
                async for event in stream:
                    if part := stream_part(event, calls):
                        yield part
            for part in final_parts(stream.get(), self.provider):
                yield self._without_secrets(part)
        except ModelError:
            raise
        except Exception as err:
            raise ModelError(_kind(err), self._problem(err), getattr(err, "retry_after", None)) from err

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Model]:
        await self.model.__aenter__()
        try:
            yield self.model
        finally:
            # Shielded: a cancelled request must return its connection too.
            with CancelScope(shield=True):
                await self.model.__aexit__(None, None, None)

    def _problem(self, err: Exception) -> str:
        return self._redact(str(err) or repr(err))[:_LONGEST_PROBLEM]

    def _without_secrets(self, part: Part) -> Part:
        if isinstance(part, FinishPart) and part.provider:
            return replace(part, provider=self._redact(part.provider))
        return part

    def _redact(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def connect(name: str, *, base_url: str | None, api_key: str | None) -> Client:
    """Return a client for `provider:model`. Nothing is sent yet.

    Raises:
        DefinitionError: there is no such provider, it accepts no address, or its SDK is missing.
        ModelError: there is no key, neither given nor in the environment.
    """
    given = {"base_url": base_url, "api_key": api_key}
    options = {option: value for option, value in given.items() if value is not None}

    def provider(kind: str) -> Provider[Any]:
        return infer_provider_class(kind)(**options) if options else infer_provider(kind)

    try:
        model = _strict(infer_model(name, provider))
    except (ImportError, TypeError, ValueError) as err:
        raise DefinitionError(f"the model {name!r} cannot be used: {err}") from err
    except exceptions.UserError as err:
        # The first sentence names the variable to set.
        raise ModelError("auth", str(err).partition(". ")[0]) from err
    return Client(name.partition(":")[0], model, tuple(_secrets(model, api_key)))


def _strict(model: Model) -> Model:
    """Make a chat stream that ends without a finish reason an error: pydantic-ai takes it for finished."""
    try:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles.openai import OpenAIModelProfile
    except ImportError:  # no openai SDK, so no chat model
        return model
    if not isinstance(model, OpenAIChatModel) or model.provider is None:
        return model
    profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
    return type(model)(model.model_name, provider=model.provider, profile=profile)


def _secrets(model: Model, api_key: str | None) -> set[str]:
    client = getattr(model.provider, "client", None)
    password = urlsplit(model.provider.base_url).password if model.provider else None
    found = {api_key, getattr(client, "api_key", None), getattr(client, "auth_token", None), password}
    # A short key is a dummy for a local server. Hiding it would garble ordinary text.
    return {secret for secret in found if isinstance(secret, str) and len(secret) >= 8}


def _settings(model: Model, wanted: Mapping[str, Any]) -> ModelSettings:
    if unknown := sorted(wanted.keys() - SETTINGS):
        raise ModelError("request", f"there is no setting {unknown[0]!r}, only {sorted(SETTINGS)}")
    settings = {name: value for name, value in wanted.items() if value is not None}
    if effort := settings.pop("reasoning_effort", None):
        settings["thinking"] = False if effort == "none" else effort
    if "max_retries" not in model.unsupported_settings:
        settings["max_retries"] = 0
    return cast("ModelSettings", settings)


def _parameters(request: ModelRequest) -> ModelRequestParameters:
    tools = [
        ToolDefinition(
            name=tool.name, description=tool.description or None, parameters_json_schema=tool.parameters
        )
        for tool in request.tools
    ]
    return ModelRequestParameters(function_tools=tools)


def _kind(err: Exception) -> ErrorKind:
    for cls, kind in _KINDS:
        if isinstance(err, cls):
            return kind
    match err:
        case exceptions.ModelHTTPError(status_code=408):
            return "timeout"
        case exceptions.ModelHTTPError(status_code=status) if 400 <= status < 500:
            return "request"
        case exceptions.ModelAPIError(in_stream=False):
            return "connection"  # the response was cut off or garbled on the way
    return "unknown"
