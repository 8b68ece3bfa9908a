"""Tasks that wait for news, woken a group at a time.

Woken all at once, thousands of subscribers would run before the event loop does anything else. So they wait
in groups, and the first task of a group that runs wakes the next group. If news come faster than the groups
are woken, the last groups find more of it at once, and the publisher is not delayed.
"""

from collections import deque

import anyio

GROUP_SIZE = 50


class _Group:
    def __init__(self) -> None:
        self.news = anyio.Event()
        self.size = 0


class Waiters:
    """Tasks that wait for news. `wake` wakes all of them, once."""

    def __init__(self) -> None:
        self._waiting: list[_Group] = []
        self._due: deque[_Group] = deque()
        """The groups to wake, in order."""
        self._woken: _Group | None = None
        """The group that was woken last, until one of its tasks runs."""

    async def wait(self) -> None:
        """Return when there may be news."""
        if not self._waiting or self._waiting[-1].size == GROUP_SIZE:
            self._waiting.append(_Group())
        group = self._waiting[-1]
        group.size += 1
        try:
            await group.news.wait()
        finally:
            # A cancelled task wakes the next group, too: it may be the only one left of its group.
            group.size -= 1
            if group is self._woken:
                self._wake_next()

    def wake(self) -> None:
        """Wake all tasks that wait now; they run when the caller yields to the event loop."""
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
