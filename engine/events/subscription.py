"""One subscriber's way through the events of a run."""

from collections import deque
from collections.abc import Callable
from typing import Self

from anyio.lowlevel import checkpoint

from .broadcast import Broadcast
from .cursor import Cursor
from .event import Event, Lagged, TextDelta


class Subscription:
    """Iterates over the events of a run after a cursor. It may be left anywhere and needs no closing."""

    def __init__(self, live: Broadcast, after: Cursor, is_broken: Callable[[], bool] = lambda: False) -> None:
        """`is_broken` tells that the run ends without an end: then the iteration ends, too."""
        self._live = live
        self._is_broken = is_broken
        self._after = after
        """Durable events up to here were returned, or are in `_found`."""
        self._found: deque[Event] = deque()
        """Events to return before those of the buffer."""
        self._place: int | None = None
        """The place in the buffer; None while the next event is not in it."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            LogError: the next event cannot be read from the log.
        """
        while True:
            if self._found:
                return self._found.popleft()
            if self._place is None and self._is_reached():
                await self._approach()
            elif event := self._read():
                return event
            elif self._live.is_over or self._is_broken():
                raise self._live.failure or StopAsyncIteration
            else:
                await self._live.waiters.wait()

    def _is_reached(self) -> bool:
        """Whether this process has published as much as the subscriber knows, perhaps from another one."""
        return self._after <= Cursor.after(self._live.position)

    async def _approach(self) -> None:
        """Find the place in the buffer, or read the events before it from the log."""
        # A subscriber that reads a long history lets the run continue in between.
        await checkpoint()
        if found := self._live.find(self._after):
            self._place, text = found
            self._found.extend([TextDelta(text)] if text else [])
        else:
            events, self._after = self._live.past.after(self._after, self._live.position)
            self._found.extend(events)

    def _read(self) -> Event | None:
        if self._place is None or self._place >= self._live.end:
            return None
        if self._place < self._live.first:
            self._place = None
            return Lagged()
        event, self._place = self._live.read(self._place)
        self._after = event.cursor or self._after
        return event
