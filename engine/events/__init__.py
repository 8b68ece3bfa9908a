"""What subscribers receive: durable events derived from changesets, and transient ones."""

from .broadcast import Broadcast
from .cursor import Cursor
from .durable import Past, durable_events, run_events
from .event import (
    AssistantTurn,
    AttemptFailed,
    ChildStarted,
    DurableEvent,
    Event,
    Lagged,
    RunFinished,
    RunResult,
    RunResumed,
    RunStarted,
    StateChanged,
    Steered,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDecided,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolCallSuspended,
    ToolProgress,
)
from .event_json import event_json
from .streams import Streams
from .subscription import Subscription
from .wakeup import Wakeup

__all__ = [
    "AssistantTurn",
    "AttemptFailed",
    "Broadcast",
    "ChildStarted",
    "Cursor",
    "DurableEvent",
    "Event",
    "Lagged",
    "Past",
    "RunFinished",
    "RunResult",
    "RunResumed",
    "RunStarted",
    "StateChanged",
    "Steered",
    "StepFinished",
    "StepStarted",
    "Streams",
    "Subscription",
    "TextDelta",
    "ToolCallDecided",
    "ToolCallDelta",
    "ToolCallFinished",
    "ToolCallStarted",
    "ToolCallSuspended",
    "ToolProgress",
    "Wakeup",
    "durable_events",
    "event_json",
    "run_events",
]
