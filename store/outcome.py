"""What the world answered: models, tools, and whatever behaviors asked. Enough to run it all again."""

from typing import Literal

from pydantic import Field, JsonValue

from .record import Record


class Usage(Record):
    """Tokens of one model call."""

    input_tokens: int = 0
    """Tokens sent, cached ones included."""

    output_tokens: int = 0
    """Tokens received."""

    cache_read_tokens: int = 0
    """Of the tokens sent, those the provider had kept."""

    cache_write_tokens: int = 0
    """Of the tokens sent, those the provider keeps from now on."""


class Interruption(Record):
    """What a run was waiting for when it was cancelled."""

    kind: Literal["inference", "tools", "behavior", "remote"]
    """A model's answer, tool calls, a behavior, or a remote agent."""

    name: str | None = None
    """The behavior's name; of `remote`, the name of the request."""

    phase: str | None = None
    """The behavior's phase."""

    def __str__(self) -> str:
        match self.kind:
            case "behavior":
                return f"behavior {self.name!r} in {self.phase}"
            case "remote":
                return str(self.name)
        return self.kind


class Attempt(Record):
    """A model call that gave no turn, or only a part of one."""

    model: str
    """The model that was asked."""

    outcome: Literal["failed", "cancelled"]
    """How it ended."""

    kind: str | None = None
    """What kind of error: `rate_limit`, `timeout`, `connection`, …"""

    error: str | None = None
    """The error, in words."""

    retry_after: float | None = None
    """Seconds that the provider asked to wait."""

    text: str = ""
    """What had come of the answer's text."""

    began_tool_call: bool = False
    """Whether the answer had begun a tool call."""

    latency: int = 0
    """Microseconds from the request to its end."""

    wait: int = 0
    """Microseconds waited before the next attempt."""


class Inference(Record):
    """What one model call was and gave."""

    model: str
    """The model that answered."""

    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Sampling settings, as asked for."""

    usage: Usage = Usage()
    """What it cost."""

    finish_reason: str | None = None
    """Why the model stopped: `stop`, `tool_calls`, `length`, …"""

    latency: int = 0
    """Microseconds from the request to the last part of the answer."""

    request_digest: str = ""
    """SHA-256 of the request's canonical JSON: messages, tools, settings."""

    attempts: tuple[Attempt, ...] = ()
    """The attempts that failed before."""


class ToolOutcome(Record):
    """What one tool call gave."""

    call_id: str
    """The call."""

    name: str
    """The tool."""

    outcome: Literal["succeeded", "failed", "suspended", "cancelled"]
    """How it ended, or that a person must decide first."""

    result: JsonValue = None
    """What the tool returned, or the text of its error."""

    duration: int = 0
    """Microseconds in the tool."""

    message_count: int = 0
    """How many messages the tool itself added after its result."""

    executed: bool = True
    """Whether the tool was executed. Otherwise the call was answered, refused or suspended before."""


class EffectRecord(Record):
    """What a behavior asked the world, and was answered."""

    name: str
    """The behavior's name and its name for the question."""

    answer: JsonValue = None
    """The answer."""

    error: str | None = None
    """Why there was none, in words."""

    usage: Usage = Usage()
    """What the answer cost, if a model gave it."""

    cancelled: bool = False
    """Whether the answer was no longer waited for."""
