"""What a run tells while it goes on: facts, which are in the log, and what passes.

A fact has a cursor, its place in the log: whoever comes back names the last one seen and goes on behind it.
What passes (text while it is being written, progress) has none: it is told by the process that executes the
run, while it happens.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

from ...reducers.tool_call import DecisionRecord, Suspension
from ...store.changeset import Message, Termination, ToolOutcome, Usage


class Cursor(NamedTuple):
    """A fact's place in the log; later facts of a run have greater ones."""

    version: int
    """The version of the run's thread that made it true."""

    number: int
    """Which of the facts of that version it is, counted from 0."""

    @classmethod
    def behind(cls, version: int) -> Self:
        """The place behind all facts of a version."""
        return cls(version + 1, -1)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is in the log, with the user's messages."""

    run_id: str
    thread_id: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A run that waited goes on."""

    run_id: str
    thread_id: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Steered:
    """Somebody has said something to the run while it went on."""

    message: Message
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """The model has answered."""

    message: Message
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ToolDecided:
    """A person has decided about a call: it goes on, or is denied."""

    call_id: str
    decision: DecisionRecord
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ToolSuspended:
    """A tool call waits for a person, who is asked this."""

    call_id: str
    name: str
    suspension: Suspension
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call has ended."""

    outcome: ToolOutcome
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunResult:
    """How an epoch of a run ended."""

    run_id: str
    thread_id: str
    status: Literal["waiting", "done"]
    termination: Termination
    output: Any
    """What the run came to, if it came to its end by itself. A structured one is JSON in an event, and an
    instance of the agent's `output_type` where `Run.result` gives it."""

    usage: Usage
    """Of all model calls together."""

    version: int
    """The thread's version then."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over, or waits for a person."""

    result: RunResult
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the text the model is writing. The turn may yet fail."""

    text: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the arguments of a call the model is writing."""

    name: str
    text: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A model did not answer; it, or another one, may be asked again."""

    model: str
    problem: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is being called."""

    call_id: str
    name: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """What a tool tells while it works."""

    call_id: str
    name: str
    progress: Any
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Lagged:
    """The listener was too slow, and has lost some of what passes; of the facts it will have lost none.

    Forget the text that was being written: if the answer is not finished yet, the next `TextDelta` has its
    text from the beginning.
    """

    cursor: ClassVar[None] = None


Fact = (
    RunStarted
    | RunResumed
    | Steered
    | AssistantTurn
    | ToolSuspended
    | ToolDecided
    | ToolFinished
    | RunFinished
)

Event = Fact | TextDelta | ToolCallDelta | AttemptFailed | ToolStarted | ToolProgress | Lagged
