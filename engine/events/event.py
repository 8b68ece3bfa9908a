"""The events of a run: durable ones, derived from the log, and transient ones, which exist only live.

A durable event has a cursor. A subscriber that returns passes the last cursor it has seen and continues after
that event, in any process. A transient event (a text delta, tool progress) has none and comes only from the
process that executes the run, while it happens.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...reducers.tool_call import DecisionRecord, Suspension
from ...store.changeset import Message, Termination, ToolOutcome, Usage
from .cursor import Cursor


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run and the user's messages are in the log."""

    type: ClassVar = "run_started"
    run_id: str
    thread_id: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A waiting or stopped run continues in its next epoch."""

    type: ClassVar = "run_resumed"
    run_id: str
    thread_id: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Steered:
    """The user sent a message to the active run."""

    type: ClassVar = "steered"
    message: Message
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """The model has answered: the whole message, with the tool calls that it asks for."""

    type: ClassVar = "assistant_turn"
    message: Message
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ToolCallSuspended:
    """A tool call waits for a person to approve or deny it."""

    type: ClassVar = "tool_call_suspended"
    call_id: str
    name: str
    suspension: Suspension
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ToolCallDecided:
    """A person has approved or denied a tool call."""

    type: ClassVar = "tool_call_decided"
    call_id: str
    decision: DecisionRecord
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ToolCallFinished:
    """A tool call has its result, or its error."""

    type: ClassVar = "tool_call_finished"
    outcome: ToolOutcome
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The thread's state has changed: RFC 6902 operations, in order.

    Applied to `runtime.state(thread)` as it was, they give the state as it is. The bookkeeping of threadlog,
    under keys that begin with `__`, is left out.
    """

    type: ClassVar = "state_changed"
    operations: tuple[dict[str, Any], ...]
    source: str
    """Who changed it: `agent_loop`, `behavior:<name>:<phase>` or `tool:<name>`."""
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """The agent delegates to another one: that run is about to start, or to resume if `epoch` is above 1."""

    type: ClassVar = "child_started"
    run_id: str
    thread_id: str
    agent: str
    epoch: int
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step is complete: the model has answered, and all tool calls of that answer have results."""

    type: ClassVar = "step_finished"
    step: int
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class RunResult:
    """How an epoch of a run ended."""

    run_id: str
    thread_id: str
    status: Literal["waiting", "done"]
    termination: Termination
    output: Any
    """The run's output, if it finished by itself. Structured output is JSON in an event, and an instance of
    the agent's `output_type` in `Run.result`."""

    usage: Usage
    """Tokens of all model calls so far."""

    version: int
    """The version of the thread at the end of the epoch."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is done, or waits: `result.status` says which."""

    type: ClassVar = "run_finished"
    result: RunResult
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins: the model is about to be asked."""

    type: ClassVar = "step_started"
    step: int
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the model's text. The attempt may still fail: see `AttemptFailed`."""

    type: ClassVar = "text_delta"
    text: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of the arguments of a tool call."""

    type: ClassVar = "tool_call_delta"
    name: str
    text: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A model call failed: discard its text. The same or another model may be asked next."""

    type: ClassVar = "attempt_failed"
    model: str
    problem: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool is about to be executed."""

    type: ClassVar = "tool_call_started"
    call_id: str
    name: str
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A value that a tool reported while it was executed."""

    type: ClassVar = "tool_progress"
    call_id: str
    name: str
    progress: Any
    cursor: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Lagged:
    """The subscriber was too slow and missed transient events. It misses no durable event.

    Discard the text of an unfinished answer: the next `TextDelta` has it from the beginning.
    """

    type: ClassVar = "lagged"
    cursor: ClassVar[None] = None


DurableEvent = (
    RunStarted
    | RunResumed
    | Steered
    | AssistantTurn
    | ToolCallSuspended
    | ToolCallDecided
    | ToolCallFinished
    | StateChanged
    | ChildStarted
    | StepFinished
    | RunFinished
)

Event = (
    DurableEvent
    | StepStarted
    | TextDelta
    | ToolCallDelta
    | AttemptFailed
    | ToolCallStarted
    | ToolProgress
    | Lagged
)
