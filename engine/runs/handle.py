"""The handle of a run: its events and its result, wherever it is executed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Self
from weakref import WeakValueDictionary

from pydantic import BaseModel

from ..agents import restore_output
from ..events import Cursor, Event, RunFinished, RunResult, Streams, Subscription
from .execution import Execution, Executions


class Run:
    """A run of the log. Iterate over it for the events of an epoch, as often as you like.

    A subscriber that comes late misses no durable event: past ones come from the log. Once an epoch was
    iterated over to its end and the run waits, iterating again follows the next one.
    """

    def __init__(
        self,
        run_id: str,
        thread_id: str,
        streams: Streams,
        executions: Executions,
        output_type: type[BaseModel] | None = None,
    ) -> None:
        self.run_id = run_id
        self.thread_id = thread_id
        self._streams = streams
        self._executions = executions
        self._output_type = output_type
        self._after: Cursor | None = None
        """The epoch that is iterated over begins after this; None if it is the first, or begins here."""
        self._execution: Execution | None = None
        """The latest epoch that began here while this handle existed."""
        self._ended: RunResult | None = None
        """How the latest epoch ended that is known: its output as JSON."""
        self._result: RunResult | None = None

    async def result(self) -> RunResult:
        """How its latest epoch ended, once it has and that is durable.

        Raises:
            LogError: its commits failed, so the log does not say how it ended.
            DefinitionError: the process that executed it had another kind of output.
        """
        ended = await self._end_here()
        if ended and (self._ended is None or ended.version > self._ended.version):
            self._ended = ended
        if self._ended is None or self._streams.has_continued(self._ended):
            self._ended = await self._streams.end(self.run_id, self.thread_id)
        if self._result is None or self._result.version != self._ended.version:
            self._result = self._with_output(self._ended)
        return self._result

    async def _end_here(self) -> RunResult | None:
        """How it ended, if it is executed here."""
        execution = self._execution or self._executions.latest(self.run_id)
        if execution is None:
            return None
        await execution.over.wait()
        if execution.failure is None:
            return execution.ended
        # It may have been recovered since: not if its beginning is what failed.
        ended = self._streams.known_end(self.run_id) if execution.opening.is_durable else None
        if ended is None:
            raise execution.failure
        return ended

    def _with_output(self, result: RunResult) -> RunResult:
        if self._output_type is None or result.output is None:
            return result
        return replace(result, output=restore_output(self._output_type, result.output))

    def __aiter__(self) -> AsyncIterator[Event]:
        # Not a generator: a subscriber that leaves the loop early would have to close it.
        return _Epoch(self)

    async def begins(self) -> bool:
        """Return once it is settled whether the run begins: one in a queue may be cancelled before."""
        return await self._streams.has_begun(self.run_id)

    async def _events(self) -> Subscription | None:
        """The events from the epoch that is iterated over; None if the run never begins."""
        if not await self.begins():
            return None
        after, is_failed = self._after, self._executions.is_failed
        if after is None and self._execution:
            # A refused epoch has no events: not those of the epochs before it either.
            after = await self._execution.opening.cursor() or self._streams.end_of(self.thread_id)
        return self._streams.subscribe(self.run_id, after, is_broken=lambda: is_failed(self.run_id))

    def _followed(self, end: RunFinished) -> None:
        """The epoch was iterated over to its end. If the run waits, the next one is due."""
        if end.result.status == "waiting":
            self._after = max(self._after or end.cursor, Cursor.after(end.cursor.position))

    def begin(self, execution: Execution) -> None:
        """Follow an epoch that is executed here. For the launcher."""
        self._execution, self._ended = execution, None
        self._after, self._output_type = None, execution.output_type

    def __repr__(self) -> str:
        return f"<Run {self.run_id!r} on {self.thread_id!r}>"


class _Epoch:
    """Iterates over the events of one epoch."""

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
            self._events = await self._run._events()
        if self._events is None:
            raise StopAsyncIteration
        event = await anext(self._events)
        if isinstance(event, RunFinished):
            self._is_over = True
            self._run._followed(event)
        return event


class Handles:
    """The handles of runs: one of each run for as long as the program keeps it."""

    def __init__(self, streams: Streams, executions: Executions) -> None:
        self._streams = streams
        self._executions = executions
        self._runs: WeakValueDictionary[str, Run] = WeakValueDictionary()

    def of(self, run_id: str, thread_id: str, output_type: type[BaseModel] | None) -> Run:
        """The handle of a run."""
        found = self._runs.get(run_id)
        if found is None:
            found = Run(run_id, thread_id, self._streams, self._executions, output_type)
            self._runs[run_id] = found
            if execution := self._executions.of(run_id):
                found.begin(execution)
        return found
