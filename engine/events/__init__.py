"""What subscribers receive: durable events derived from changesets, and transient ones."""

from .broadcast import Broadcast, Subscription
from .event import (
    AssistantTurn,
    AttemptFailed,
    Cursor,
    Event,
    Fact,
    Lagged,
    RunFinished,
    RunResult,
    RunResumed,
    RunStarted,
    Steered,
    TextDelta,
    ToolCallDelta,
    ToolDecided,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    ToolSuspended,
)
from .facts import Past, facts
from .streams import Streams
from .wakeup import Wakeup

__all__ = [
    "AssistantTurn",
    "AttemptFailed",
    "Broadcast",
    "Cursor",
    "Event",
    "Fact",
    "Lagged",
    "Past",
    "RunFinished",
    "RunResult",
    "RunResumed",
    "RunStarted",
    "Steered",
    "Streams",
    "Subscription",
    "TextDelta",
    "ToolCallDelta",
    "ToolDecided",
    "ToolFinished",
    "ToolProgress",
    "ToolStarted",
    "ToolSuspended",
    "Wakeup",
    "facts",
]
