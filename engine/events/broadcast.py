"""A run's events on their way to any number of listeners, none of whom the run waits for.

    run -> Broadcast, one bounded buffer -> Subscription, a place in it for each listener
                                                 ^
                 log -> what the buffer has no more (late, slow, back again)

Every listener gets every fact once and in order: from the log up to where the buffer begins, then from the
buffer. What passes is told from the buffer only: a listener that is behind gets pieces of text put together,
one that is further behind than the buffer reaches gets a `Lagged` in the place of what it has lost, and one
that comes while an answer is being written gets its text so far.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Self, TypeGuard

from anyio.lowlevel import checkpoint

from .event import (
    AssistantTurn,
    AttemptFailed,
    Cursor,
    Event,
    Lagged,
    RunFinished,
    RunResult,
    TextDelta,
    ToolCallDelta,
)
from .facts import Past
from .waiters import Waiters

BUFFERED = 1024
"""Events that a run keeps for those who listen."""


class Broadcast:
    """The last events of a run, shared by all who listen to it. `past` is where the others are."""

    def __init__(self, past: Past, version: int, size: int = BUFFERED) -> None:
        self.past = past
        self.version = version
        """Up to where all facts have been told, or were in the log before."""
        self.is_over = False
        """Whether nothing more will be told."""
        self.failure: Exception | None = None
        """Why, if that is not the end of the run."""
        self.ended: RunResult | None = None
        """How the latest epoch ended that was published."""
        self.first = 0
        """The place of the oldest event that is left. Places are counted from 0 and never come again."""
        self._size = size
        self._events: deque[Event] = deque()
        self._before = Cursor.behind(version)
        """All facts behind this are in the buffer."""
        self._is_whole = True
        """Whether all that passed behind it is, too."""
        self._text: list[str] = []
        """Of the answer that is being written."""
        self.waiters = Waiters()

    @property
    def end(self) -> int:
        """The place of the next event."""
        return self.first + len(self._events)

    def tell(self, event: Event) -> None:
        """Tell everybody. The facts of one version are told without giving way to other tasks in between."""
        if len(self._events) == self._size:
            self._forget(self._events.popleft())
        self._events.append(event)
        match event:
            case TextDelta(text):
                self._text.append(text)
            case AttemptFailed() | AssistantTurn() | RunFinished():
                self._text.clear()
        if event.cursor:
            self.version = max(self.version, event.cursor.version)
        if isinstance(event, RunFinished):
            self.ended = event.result
            self.is_over = self.is_over or event.result.status == "done"
        self.waiters.wake()

    def finish(self, failure: Exception | None = None) -> None:
        """Nothing more will be told."""
        self.is_over, self.failure = True, failure
        self.waiters.wake()

    def _forget(self, event: Event) -> None:
        self.first += 1
        if event.cursor:
            self._before, self._is_whole = event.cursor, True
        else:
            self._is_whole = False

    def place(self, after: Cursor) -> tuple[int, str] | None:
        """Where someone goes on who has all facts up to `after`, and the text that comes before.

        None if facts in between are no longer here.
        """
        if after < self._before:
            return None
        if (known := self._last_fact(after)) is not None:
            return known + 1, ""
        if self._is_whole:
            return self.first, ""
        # What has passed is not whole: not the rest of it, but what begins behind it.
        nearest = self._first_fact()
        return (nearest, "") if nearest is not None else (self.end, "".join(self._text))

    def _last_fact(self, until: Cursor) -> int | None:
        places = zip(range(self.end - 1, -1, -1), reversed(self._events), strict=False)
        return next((place for place, event in places if event.cursor and event.cursor <= until), None)

    def _first_fact(self) -> int | None:
        return next((place for place, event in enumerate(self._events, self.first) if event.cursor), None)

    def read(self, place: int) -> tuple[Event, int]:
        """The event at a place, with what can be put together with it, and the next place."""
        event, place = self._events[place - self.first], place + 1
        if not isinstance(event, TextDelta | ToolCallDelta) or place == self.end:
            return event, place
        pieces = [event.text]
        while place < self.end:
            more = self._events[place - self.first]
            if not _is_more(more, event):
                break
            pieces.append(more.text)
            place += 1
        return replace(event, text="".join(pieces)), place


def _is_more(event: Event, delta: TextDelta | ToolCallDelta) -> TypeGuard[TextDelta | ToolCallDelta]:
    """Whether an event is the next piece of what a delta is a piece of."""
    if isinstance(delta, ToolCallDelta):
        return isinstance(event, ToolCallDelta) and event.name == delta.name
    return isinstance(event, TextDelta)


class Subscription:
    """The events of a run behind a cursor: an iterator that may be left at any place."""

    def __init__(self, live: Broadcast, after: Cursor, is_broken: Callable[[], bool] = lambda: False) -> None:
        self._live = live
        self._is_broken = is_broken
        """Whether it ends, though the broadcast does not, when all that was told is heard."""
        self._after = after
        """Facts up to here are told, or are in `_found`."""
        self._found: deque[Event] = deque()
        """What comes before the buffer."""
        self._place: int | None = None
        """In the buffer; None as long as what comes next is not in there."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            LogError: what comes next cannot be read.
        """
        while True:
            if self._found:
                return self._found.popleft()
            if self._place is None and self._is_reached():
                await self._approach()
            elif event := self._heard():
                return event
            elif self._live.is_over or self._is_broken():
                raise self._live.failure or StopAsyncIteration
            else:
                await self._live.waiters.wait()

    def _is_reached(self) -> bool:
        """Whether the run has told what this listener knows: it may have heard it from another process."""
        return self._after <= Cursor.behind(self._live.version)

    async def _approach(self) -> None:
        """Go on to the buffer, by way of the log."""
        # A listener who has much to read lets the run go on in between.
        await checkpoint()
        if found := self._live.place(self._after):
            self._place, text = found
            self._found.extend([TextDelta(text)] if text else [])
        else:
            facts, self._after = self._live.past.behind(self._after, self._live.version)
            self._found.extend(facts)

    def _heard(self) -> Event | None:
        if self._place is not None and self._place < self._live.end:
            if self._place < self._live.first:
                self._place = None
                return Lagged()
            event, self._place = self._live.read(self._place)
            self._after = event.cursor or self._after
            return event
        return None
