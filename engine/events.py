"""What a run tells while it goes on. Every event but `TextDelta` is a fact: its commit is durable."""

from dataclasses import dataclass
from typing import Any

from ..store.changeset import Message, Termination, ToolOutcome, Usage


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is in the log, with the user's messages."""

    run_id: str
    thread_id: str
    version: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the text the model is writing. Not a fact: the turn may yet fail."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """The model has answered."""

    message: Message
    version: int


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call has ended."""

    outcome: ToolOutcome
    message: Message
    version: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    run_id: str
    thread_id: str
    status: str
    termination: Termination
    output: Any
    """The text of the last turn, if the run came to its natural end."""

    usage: Usage
    """Of all model calls together."""

    version: int
    """The thread's version at the end of the run."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over."""

    result: RunResult
    version: int


Event = RunStarted | TextDelta | AssistantTurn | ToolFinished | RunFinished
