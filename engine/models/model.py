"""The interface of a model: it takes a request and streams typed parts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from ...store.changeset import Message, ToolCall, Usage
from ...store.document import dumps, loads
from ...store.errors import ThreadlogError


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The description of a tool for a model."""

    name: str
    description: str
    parameters: dict[str, Any]
    """The JSON schema of the arguments object."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a model: it answers with one turn."""

    messages: Sequence[Message]
    """The conversation. The system prompt comes first."""

    tools: Sequence[ToolSpec] = ()

    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON: `temperature`, `max_tokens`, `top_p`, `reasoning_effort`. The provider has defaults."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of the text, as it arrives."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call that is not complete yet: JSON text of its arguments."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A complete tool call."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class FinishPart:
    """The end of the answer."""

    finish_reason: str | None = None
    """`stop`, `tool_calls`, `length`, `content_filter`, `error`."""

    usage: Usage = field(default_factory=Usage)

    provider: str | None = None
    """The provider's own response as JSON text. The next request sends it back unchanged."""


Part = TextPart | ToolCallDelta | ToolCallPart | FinishPart

ErrorKind = Literal[
    "rate_limit",
    "timeout",
    "connection",
    "overloaded",
    "server",
    "auth",
    "request",
    "context_length",
    "unknown",
]


class ModelError(ThreadlogError):
    """A model did not answer, or its answer broke off.

    `kind` classifies the error. `retry_after` is the wait in seconds that the provider asks for, if any.
    """

    def __init__(self, kind: ErrorKind, problem: str, retry_after: float | None = None) -> None:
        super().__init__(kind, problem, retry_after)
        self.kind = kind
        self.problem = problem
        self.retry_after = retry_after

    @property
    def is_retryable(self) -> bool:
        """Return whether the same request may succeed later."""
        return self.kind in ("rate_limit", "timeout", "connection", "overloaded", "server")

    def __str__(self) -> str:
        return f"{self.kind}: {self.problem}"


@runtime_checkable
class Model(Protocol):
    """Answers requests."""

    @property
    def name(self) -> str:
        """Return the name of the model in the log."""
        raise NotImplementedError

    def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        """Stream the parts of one answer. The `FinishPart` comes last."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The complete answer of a model."""

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a behavior returns from an effect that asks a model, so that the run counts the tokens."""

    answer: Any
    usage: Usage


@dataclass(slots=True)
class Collector:
    """Collects streamed parts into a turn."""

    _text: list[str] = field(default_factory=list)
    _calls: list[ToolCall] = field(default_factory=list)
    _finish: FinishPart = field(default_factory=FinishPart)
    began_tool_call: bool = False
    """Whether a tool call has begun to arrive."""

    is_empty: bool = True
    """Whether no part has arrived."""

    def add(self, part: Part) -> None:
        self.is_empty = False
        match part:
            case TextPart(text):
                self._text.append(text)
            case ToolCallPart(call):
                self.began_tool_call = True
                if not call.name.strip():
                    return  # no tool can have this name, and providers refuse it in later requests
                # Sort the keys as the log does, so that a replay sees the same arguments.
                arguments = loads(dumps(call.arguments))
                self._calls.append(call.model_copy(update={"arguments": arguments}))
            case FinishPart():
                self._finish = part
            case ToolCallDelta():
                self.began_tool_call = True

    def turn(self) -> Turn:
        return Turn(
            text="".join(self._text),
            tool_calls=tuple(self._calls),
            usage=self._finish.usage,
            finish_reason=self._finish.finish_reason,
            provider=self._finish.provider,
        )
