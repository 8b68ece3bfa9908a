"""What a run tells while it goes on. Events with a version are facts: their commit is durable."""

from dataclasses import dataclass
from typing import Any, Literal

from ..reducers.tool_call import DecisionRecord, Suspension
from ..store.changeset import Message, Termination, ToolOutcome, Usage


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is in the log, with the user's messages."""

    run_id: str
    thread_id: str
    version: int


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A run that waited goes on."""

    run_id: str
    thread_id: str
    version: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the text the model is writing. The turn may yet fail."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the arguments of a call the model is writing."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A model did not answer; it, or another one, may be asked again."""

    model: str
    problem: str


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """The model has answered."""

    message: Message
    version: int


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is being called."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolResumed:
    """A call goes on that a person has decided about."""

    call_id: str
    name: str
    decision: DecisionRecord


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """What a tool tells while it works."""

    call_id: str
    name: str
    progress: Any


@dataclass(frozen=True, slots=True)
class ToolSuspended:
    """A tool call waits for a person, who is asked this."""

    call_id: str
    name: str
    suspension: Suspension
    version: int


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call has ended."""

    outcome: ToolOutcome
    version: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """How an epoch of a run ended."""

    run_id: str
    thread_id: str
    status: Literal["waiting", "done"]
    termination: Termination
    output: Any
    """What the run came to, if it came to its end by itself."""

    usage: Usage
    """Of all model calls together."""

    version: int
    """The thread's version then."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over, or waits for a person."""

    result: RunResult
    version: int


Event = (
    RunStarted
    | RunResumed
    | TextDelta
    | ToolCallDelta
    | AttemptFailed
    | AssistantTurn
    | ToolStarted
    | ToolResumed
    | ToolProgress
    | ToolSuspended
    | ToolFinished
    | RunFinished
)
