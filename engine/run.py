"""A run's handle: what it has told so far, to any number of listeners, and how it ended."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self

import anyio

from .control import Control
from .events import Event, RunFinished, RunResult

if TYPE_CHECKING:
    from .workspace import RunIdentity


class Run:
    """A run that was started. Iterate over it for its events, from the first, as often as you like.

    The events so far are kept: a listener that comes late misses nothing.
    """

    def __init__(self, identity: "RunIdentity", control: Control) -> None:
        self.run_id = identity.run_id
        self.thread_id = identity.thread_id
        self.control = control
        """Through which the run is cancelled, and told decisions."""
        self._events: list[Event] = []
        self._news = anyio.Event()
        self._over = False
        self._failure: Exception | None = None

    async def result(self) -> RunResult:
        """How it ended, once it has and that is durable.

        Raises:
            LogError: its commits failed, so the log does not say how it ended.
        """
        last: Event | None = None
        async for event in self:
            last = event
        if isinstance(last, RunFinished):
            return last.result
        raise self._failure or RuntimeError("the run was stopped before it could say how it ended")

    def __aiter__(self) -> AsyncIterator[Event]:
        # Not a generator: a listener that leaves the loop early would have to close it.
        return _Listener(self)

    async def event(self, number: int) -> Event | None:
        """The event of a number, counted from 0, once there is one; None if the run is over without it."""
        while number >= len(self._events) and not self._over:
            await self._news.wait()
        return self._events[number] if number < len(self._events) else None

    async def started(self) -> None:
        """Return once the run is in the log. Raises as `result` does."""
        while not self._events and not self._over:
            await self._news.wait()
        if self._failure and not self._events:
            raise self._failure

    async def over(self) -> None:
        """Return once nothing more will be told, however it ended."""
        while not self._over:
            await self._news.wait()

    def tell(self, event: Event) -> None:
        """For the loop: tell everybody."""
        self._events.append(event)
        self._wake()

    def end(self, failure: Exception | None = None) -> None:
        """For the loop: nothing more will be told."""
        self._over, self._failure = True, failure
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def __repr__(self) -> str:
        return f"<Run {self.run_id!r} on {self.thread_id!r} {'over' if self._over else 'going on'}>"


class _Listener:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._told = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._run.event(self._told)
        if event is None:
            raise StopAsyncIteration
        self._told += 1
        return event
