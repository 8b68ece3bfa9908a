"""What a model is to the loop: a request goes in, typed parts come out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from ...store.changeset import Message, ToolCall, Usage
from ...store.document import dumps, loads
from ...store.errors import ThreadlogError


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments object."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is sent to a model for one turn."""

    messages: Sequence[Message]
    """The conversation, the system prompt first."""

    tools: Sequence[ToolSpec] = ()

    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON: `temperature`, `max_tokens`, `top_p`, `reasoning_effort`. What is left out is the provider's."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of the answer's text, as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A sign that a call is coming: the next piece of its arguments' JSON text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A call, complete."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class FinishPart:
    """The end of the answer."""

    finish_reason: str | None = None
    """`stop`, `tool_calls`, `length`, `content_filter`, `error`."""

    usage: Usage = field(default_factory=Usage)

    provider: str | None = None
    """The provider's own response as JSON text, to be sent back as it is with the next request."""


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
    """A model did not answer, or broke off.

    `kind` says what went wrong; `retry_after` is how many seconds the provider asks to wait, if it says.
    """

    def __init__(self, kind: ErrorKind, problem: str, retry_after: float | None = None) -> None:
        super().__init__(kind, problem, retry_after)
        self.kind = kind
        self.problem = problem
        self.retry_after = retry_after

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in ("rate_limit", "timeout", "connection", "overloaded", "server")

    def __str__(self) -> str:
        return f"{self.kind}: {self.problem}"


@runtime_checkable
class Model(Protocol):
    """Anything that answers requests."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        raise NotImplementedError

    def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        """The parts of one answer, the `FinishPart` last."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A model's whole answer."""

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """What a behavior was answered by a model that it asked itself: its tokens are the run's, too."""

    answer: Any
    usage: Usage


@dataclass(slots=True)
class Collector:
    """Parts, put together to a turn."""

    _text: list[str] = field(default_factory=list)
    _calls: list[ToolCall] = field(default_factory=list)
    _finish: FinishPart = field(default_factory=FinishPart)
    called: bool = False
    """Whether a tool call has begun to come."""

    is_empty: bool = True
    """Whether nothing has come at all."""

    def add(self, part: Part) -> None:
        self.is_empty = False
        match part:
            case TextPart(text):
                self._text.append(text)
            case ToolCallPart(call):
                self.called = True
                if not call.name.strip():
                    return  # nothing can be called so, and no provider would take it back
                # As it comes back from the log: its keys in order, so that a replay sees the same.
                arguments = loads(dumps(call.arguments))
                self._calls.append(call.model_copy(update={"arguments": arguments}))
            case FinishPart():
                self._finish = part
            case ToolCallDelta():
                self.called = True

    def turn(self) -> Turn:
        return Turn(
            text="".join(self._text),
            tool_calls=tuple(self._calls),
            usage=self._finish.usage,
            finish_reason=self._finish.finish_reason,
            provider=self._finish.provider,
        )
