"""Answers of models, tools and effects: everything that is needed to execute a run again."""

from typing import Literal

from pydantic import Field, JsonValue

from .record import Record


class Usage(Record):
    """Tokens of one model call."""

    input_tokens: int = 0
    """Tokens sent, including cached ones."""

    output_tokens: int = 0
    """Tokens received."""

    cache_read_tokens: int = 0
    """Of the tokens sent: read from the provider's cache."""

    cache_write_tokens: int = 0
    """Of the tokens sent: written to the provider's cache."""


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
    """A model call that returned no turn, or only a part of one."""

    model: str
    """The model."""

    outcome: Literal["failed", "cancelled"]
    """How it ended."""

    kind: str | None = None
    """The kind of error: `rate_limit`, `timeout`, `connection`, …"""

    error: str | None = None
    """The text of the error."""

    retry_after: float | None = None
    """Seconds that the provider asked to wait."""

    text: str = ""
    """The text received before it failed."""

    began_tool_call: bool = False
    """Whether the answer had begun a tool call."""

    latency: int = 0
    """Microseconds from the request to its end."""

    wait: int = 0
    """Microseconds waited before the next attempt."""


class Inference(Record):
    """One model call: what it was and what it returned."""

    model: str
    """The model that answered."""

    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Sampling settings of the request."""

    usage: Usage = Usage()
    """Tokens of the call."""

    finish_reason: str | None = None
    """Why the model stopped: `stop`, `tool_calls`, `length`, …"""

    latency: int = 0
    """Microseconds from the request to the last part of the answer."""

    request_digest: str = ""
    """SHA-256 of the request's canonical JSON: messages, tools, settings."""

    attempts: tuple[Attempt, ...] = ()
    """The attempts that failed before."""


class ToolOutcome(Record):
    """The outcome of one tool call."""

    call_id: str
    """The call."""

    name: str
    """The tool."""

    outcome: Literal["succeeded", "failed", "suspended", "cancelled"]
    """How it ended, or that it waits for a decision."""

    result: JsonValue = None
    """What the tool returned, or the text of its error."""

    duration: int = 0
    """Microseconds in the tool."""

    message_count: int = 0
    """How many messages the tool itself added after its result."""

    executed: bool = True
    """Whether the tool was executed. Otherwise the call was answered, refused or suspended before."""


class EffectRecord(Record):
    """An effect of a behavior: its answer or its error."""

    name: str
    """The name of the behavior and of the effect."""

    answer: JsonValue = None
    """The answer."""

    error: str | None = None
    """The text of the error, if it failed."""

    usage: Usage = Usage()
    """Tokens of the answer, if a model gave it."""

    cancelled: bool = False
    """Whether it was cancelled before it answered."""
