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
    """A run in the log. Iterate over it, any number of times, for the events of an epoch.

    A late subscriber misses no durable event: earlier ones are read from the log. After an iteration has
    reached the end of an epoch and the run waits, the next iteration follows the next epoch.
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
        """Iterations begin after this; None for the first epoch, or for that of `_execution`."""
        self._execution: Execution | None = None
        """The latest epoch executed here while this handle existed."""
        self._ended: RunResult | None = None
        """The end of the latest epoch that is known to have ended, with the output as JSON."""
        self._result: RunResult | None = None

    async def result(self) -> RunResult:
        """Wait until the latest epoch has ended and its end is durable, and return how it ended.

        Raises:
            LogError: the run's commits failed, so the log does not have its end.
            DefinitionError: the output does not fit the agent's output type in this process.
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
        """Wait for the end of an epoch that is executed here; None if there is none."""
        execution = self._execution or self._executions.latest(self.run_id)
        if execution is None:
            return None
        await execution.over.wait()
        if execution.failure is None:
            return execution.ended
        # It may have been recovered since then, unless its first append failed.
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

    async def _subscribe(self) -> Subscription | None:
        """Subscribe to an epoch once the run has begun; None if it was cancelled before."""
        if not await self._streams.has_begun(self.run_id):
            return None
        after, is_failed = self._after, self._executions.is_failed
        if after is None and self._execution:
            # A refused epoch has no events. Those of earlier epochs do not count.
            after = await self._execution.opening.cursor() or self._streams.end_of(self.thread_id)
        return self._streams.subscribe(self.run_id, after, is_broken=lambda: is_failed(self.run_id))

    def _advance(self, end: RunFinished) -> None:
        """Note that an epoch was iterated over to its end. If the run waits, the next epoch follows."""
        if end.result.status == "waiting":
            self._after = max(self._after or end.cursor, Cursor.after(end.cursor.position))

    def _attach(self, execution: Execution) -> None:
        """Follow an epoch that is executed here."""
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
            self._events = await self._run._subscribe()
        if self._events is None:
            raise StopAsyncIteration
        event = await anext(self._events)
        if isinstance(event, RunFinished):
            self._is_over = True
            self._run._advance(event)
        return event


class Handles:
    """The handles of runs: one per run, for as long as the program keeps it."""

    def __init__(self, streams: Streams, executions: Executions) -> None:
        self._streams = streams
        self._executions = executions
        self._runs: WeakValueDictionary[str, Run] = WeakValueDictionary()

    def attach(self, execution: Execution) -> Run:
        """Return the handle of a run that is executed here; it follows this epoch."""
        run = self.of(execution.run_id, execution.thread_id, execution.output_type)
        run._attach(execution)
        return run

    def of(self, run_id: str, thread_id: str, output_type: type[BaseModel] | None) -> Run:
        """Return the handle of a run."""
        found = self._runs.get(run_id)
        if found is None:
            found = Run(run_id, thread_id, self._streams, self._executions, output_type)
            self._runs[run_id] = found
            if execution := self._executions.of(run_id):
                found._attach(execution)
        return found
