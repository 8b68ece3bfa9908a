"""The latest events of one run, in a bounded buffer that all its subscribers share.

    run -> Broadcast, one bounded buffer -> Subscription, each with its own place in the buffer
                                                 ^
                 log -> events that have left the buffer (late, slow and returning subscribers)

The run never waits for a subscriber. Each subscriber gets every durable event once and in order: from the log
up to where the buffer begins, then from the buffer. Transient events come from the buffer only. A slow
subscriber gets text deltas joined; one that falls out of the buffer gets `Lagged`; one that subscribes while
an answer is being written gets its text so far.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeGuard

from .cursor import Cursor
from .durable import Past
from .event import AssistantTurn, AttemptFailed, Event, RunFinished, RunResult, TextDelta, ToolCallDelta
from .waiters import Waiters

BUFFERED = 1024
"""Events of a run that are kept for its subscribers."""


class Broadcast:
    """The latest events of a run; `past` has the earlier durable ones."""

    def __init__(self, past: Past, position: int, size: int = BUFFERED) -> None:
        self.past = past
        self.position = position
        """The log position up to which all durable events were published, or are in the log only."""
        self.is_over = False
        """Whether no event follows."""
        self.failure: Exception | None = None
        """Why no event follows, if the run has not finished."""
        self.ended: RunResult | None = None
        """How the last epoch ended that was published."""
        self.first = 0
        """The place of the oldest event in the buffer. Places count all events of this broadcast from 0."""
        self._size = size
        self._events: deque[Event] = deque()
        self._before = Cursor.after(position)
        """All durable events after this are in the buffer."""
        self._is_whole = True
        """Whether the transient events after it are in the buffer, too."""
        self._text: list[str] = []
        """The text of the unfinished answer."""
        self.waiters = Waiters()

    @property
    def end(self) -> int:
        """The place of the next event."""
        return self.first + len(self._events)

    def publish(self, events: Iterable[Event]) -> None:
        """Add events and wake the subscribers."""
        for event in events:
            self._add(event)
        self.waiters.wake()

    def _add(self, event: Event) -> None:
        if len(self._events) == self._size:
            self._drop(self._events.popleft())
        self._events.append(event)
        match event:
            case TextDelta(text):
                self._text.append(text)
            case AttemptFailed() | AssistantTurn() | RunFinished():
                self._text.clear()
        if event.cursor:
            self.position = max(self.position, event.cursor.position)
        if isinstance(event, RunFinished):
            self.ended = event.result
            self.is_over = self.is_over or event.result.status == "done"

    def finish(self, failure: Exception | None = None) -> None:
        """Publish nothing more: the subscriptions end."""
        self.is_over, self.failure = True, failure
        self.waiters.wake()

    def _drop(self, event: Event) -> None:
        self.first += 1
        if event.cursor:
            self._before, self._is_whole = event.cursor, True
        else:
            self._is_whole = False

    def find(self, after: Cursor) -> tuple[int, str] | None:
        """Return the place to read on from after a cursor, and the text of the answer before that place.

        None if durable events between the cursor and the buffer are in the log only.
        """
        if after < self._before:
            return None
        if (known := self._last_durable(after)) is not None:
            return known + 1, ""
        if self._is_whole:
            return self.first, ""
        # Transient events are missing: continue with the next durable event, not in the middle of a text.
        following = self._first_durable()
        return (following, "") if following is not None else (self.end, "".join(self._text))

    def _last_durable(self, until: Cursor) -> int | None:
        places = zip(range(self.end - 1, -1, -1), reversed(self._events), strict=False)
        return next((place for place, event in places if event.cursor and event.cursor <= until), None)

    def _first_durable(self) -> int | None:
        return next((place for place, event in enumerate(self._events, self.first) if event.cursor), None)

    def read(self, place: int) -> tuple[Event, int]:
        """Return the event at a place, joined with the deltas that continue it, and the next place."""
        event, place = self._events[place - self.first], place + 1
        if not isinstance(event, TextDelta | ToolCallDelta) or place == self.end:
            return event, place
        pieces = [event.text]
        while place < self.end:
            following = self._events[place - self.first]
            if not _continues(following, event):
                break
            pieces.append(following.text)
            place += 1
        return replace(event, text="".join(pieces)), place


def _continues(event: Event, delta: TextDelta | ToolCallDelta) -> TypeGuard[TextDelta | ToolCallDelta]:
    """Whether an event is the next piece of the same text or tool call."""
    if isinstance(delta, ToolCallDelta):
        return isinstance(event, ToolCallDelta) and event.name == delta.name
    return isinstance(event, TextDelta)
