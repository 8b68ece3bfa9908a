"""Many who wait for news, woken some at a time: whoever has told the news goes on in between.

Woken all at once, they would all run before the event loop looks at anything else. So they wait in groups,
and the first of a group that runs wakes the next group. When news come faster than all groups are woken,
those who come late find more of it, and nobody else is held up.
"""

from collections import deque

import anyio

AT_ONCE = 50


class _Group:
    def __init__(self) -> None:
        self.news = anyio.Event()
        self.size = 0


class Waiters:
    """Those who wait. Everyone who waits when `wake` is called is woken, once."""

    def __init__(self) -> None:
        self._waiting: list[_Group] = []
        self._due: deque[_Group] = deque()
        """To be woken, one after the other."""
        self._woken: _Group | None = None
        """Of this group nobody has run yet."""

    async def wait(self) -> None:
        """Return when there may be news."""
        if not self._waiting or self._waiting[-1].size == AT_ONCE:
            self._waiting.append(_Group())
        group = self._waiting[-1]
        group.size += 1
        try:
            await group.news.wait()
        finally:
            # Those who are cancelled hand on, too: else nobody might.
            group.size -= 1
            if group is self._woken:
                self._wake_next()

    def wake(self) -> None:
        """Wake all who wait now; they run when the caller gives way."""
        self._due.extend(self._waiting)
        self._waiting = []
        if self._woken is None:
            self._wake_next()

    def _wake_next(self) -> None:
        self._woken = None
        while self._due and self._woken is None:
            group = self._due.popleft()
            if group.size:
                self._woken = group
                group.news.set()
