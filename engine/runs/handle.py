"""A run's handle: what it tells, to any number of listeners, and how it ended, wherever it goes on."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Self

import anyio
from pydantic import BaseModel

from ...store.errors import LogError, LogUnavailable
from ..agents import restored
from ..events import Broadcast, Cursor, Event, RunFinished, RunResult, Streams, Subscription


class Run:
    """A run of the log. Iterate over it for the events of an epoch, as often as you like.

    A listener that comes late misses no fact: what is past comes from the log. Once an epoch was iterated
    over to its end and the run waits, iterating again follows the next one.
    """

    def __init__(
        self, run_id: str, thread_id: str, streams: Streams, output_type: type[BaseModel] | None = None
    ) -> None:
        self.run_id = run_id
        self.thread_id = thread_id
        self._streams = streams
        self._output_type = output_type
        self._broadcast: Broadcast | None = None
        """While an epoch of it goes on here."""
        self._after: Cursor | None = None
        """Behind this begins the epoch that is iterated over; None for the first."""
        self._begun, self._over = anyio.Event(), anyio.Event()
        self._over.set()
        self._is_told = False
        """Whether the epoch that goes on here is in the log."""
        self.refusal: Exception | None = None
        """For the launcher: why the epoch is not in the log, if it was refused."""
        self._failure: Exception | None = None
        """Why it has not come to an end that is."""
        self._ended: RunResult | None = None
        """How the latest epoch ended that is known."""
        self._result: RunResult | None = None

    async def result(self) -> RunResult:
        """How its latest epoch ended, once it has and that is durable.

        Raises:
            LogError: its commits failed, so the log does not say how it ended.
            DefinitionError: who has gone on with it elsewhere has another kind of output.
        """
        await self._over.wait()
        if self._failure:
            # Perhaps it was recovered since: not if what failed is the beginning.
            self._ended = self._streams.known_end(self.run_id) if self._is_told else None
            if not self._ended:
                raise self._failure
        if not self._ended or self._streams.has_gone_on(self._ended):
            self._ended = await self._streams.end(self.run_id, self.thread_id)
        ended = self._ended
        if self._result is None or self._result.version != ended.version:
            self._result = self._given(ended)
        return self._result

    def _given(self, result: RunResult) -> RunResult:
        if self._output_type is None or result.output is None:
            return result
        return replace(result, output=restored(self._output_type, result.output))

    def __aiter__(self) -> AsyncIterator[Event]:
        # Not a generator: a listener that leaves the loop early would have to close it.
        return _Epoch(self)

    async def events(self) -> Subscription | None:
        """For a listener: the events from the epoch that is iterated over; None if the run never begins."""
        if not await self._streams.has_begun(self.run_id):
            return None
        return self._streams.subscribe(self.run_id, self._after, is_broken=lambda: self.is_broken)

    def followed(self, end: RunFinished) -> None:
        """For a listener: the epoch was iterated over to its end. If the run waits, the next one is due."""
        if end.result.status == "waiting":
            self._after = max(self._after or end.cursor, Cursor.behind(end.cursor.version))

    def launch(self, output_type: type[BaseModel] | None) -> None:
        """For the launcher: an epoch is about to begin here."""
        self._begun, self._over = anyio.Event(), anyio.Event()
        self._output_type, self._is_told = output_type, False
        self.refusal = self._failure = self._ended = None

    async def started(self) -> None:
        """For the launcher: return once the epoch is in the log. Raises what kept it from that."""
        await self._begun.wait()
        if self.refusal:
            raise self.refusal

    def begin(self, broadcast: Broadcast, version: int) -> None:
        """For the loop: the epoch begins behind a version of its thread, and is told there."""
        self._broadcast, self._after = broadcast, Cursor.behind(version)

    @property
    def is_started(self) -> bool:
        """For the launcher: whether the epoch is in the log."""
        return self._is_told

    @property
    def is_waiting(self) -> bool:
        """For the launcher: whether the latest epoch that is known waits for the next."""
        return self._ended is not None and self._ended.status == "waiting"

    @property
    def is_broken(self) -> bool:
        """For the launcher: whether its commits failed, so that the log does not say how it ended."""
        return self._failure is not None

    def tell(self, event: Event) -> None:
        """For the loop: tell everybody."""
        self._is_told = True
        if isinstance(event, RunFinished):
            self._ended = event.result
        if self._broadcast:
            self._broadcast.tell(event)
        self._begun.set()

    def end(self, failure: Exception | None = None) -> None:
        """For the loop: nothing more will be told here."""
        # Whoever has taken its thread may have said how it ended: then that is what counts.
        if self._is_told and failure:
            with suppress(LogError):
                self._ended = self._streams.known_end(self.run_id)
        if self._is_told:
            self._failure = None if self._ended else failure
        else:
            self.refusal = failure
            # An epoch that is wanted begins as soon as it can be written: until then it has failed.
            self._failure = failure if isinstance(failure, LogUnavailable) else None
        self._over.set()
        self._begun.set()
        if self._broadcast:
            self._broadcast.waiters.wake()
            self._broadcast = None

    def __repr__(self) -> str:
        return f"<Run {self.run_id!r} on {self.thread_id!r}>"


class _Epoch:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._events: Subscription | None = None
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._is_over:
            raise StopAsyncIteration
        if self._events is None:
            self._events = await self._run.events()
        if self._events is None:
            raise StopAsyncIteration
        event = await anext(self._events)
        if isinstance(event, RunFinished):
            self._is_over = True
            self._run.followed(event)
        return event
