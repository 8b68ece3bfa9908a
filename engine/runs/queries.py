"""What a runtime answers about the runs of its log: from what the log lists, so never behind it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from ...reducers.replay import replay
from ...reducers.sub_agent import sub_agents_in
from ...reducers.tool_call import ToolCallState, pending
from ...store.changeset import Executor, Message, control_stream
from ...store.errors import NotFound
from ...store.listing import QueuedRow, RunRow
from ...store.log import Log
from ..events import Cursor, Event, Streams
from .sub_agents import SubAgent, sub_agent


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that is not over."""

    run_id: str
    thread_id: str
    agent: str | None
    status: str
    """`running`, `waiting` for a person, or `queued` behind other runs of its thread."""

    epoch: int = 0
    executor: Executor | None = None
    """Who executes it, or did last."""

    parent_run_id: str | None = None


class Views:
    """Reads the log. Costs follow the number of open runs, never the size of the file."""

    log: Log
    _streams: Streams

    def active_runs(self, thread: str | None = None) -> list[ActiveRun]:
        """The runs that are not over, of a thread or of the whole log: begun ones, and then the queued ones.

        Each in the order in which they came.
        """
        # The queue first: a run that begins meanwhile is found among those that go on.
        waiting, rows = self.log.queued(thread), [begun(row) for row in self.log.open_runs(thread)]
        known = {row.run_id for row in rows}
        return [*rows, *(queued(row) for row in waiting if row.run_id not in known)]

    def pending(self, run_id: str | None = None) -> list[ToolCallState]:
        """The calls of a run, or of all, that wait for a person, each with its question and ticket.

        Raises:
            NotFound: there is no such run.
        """
        if run_id is not None:
            # The thread of one that is over, or queued, may have another one that waits.
            row = None if self._status(run_id) in ("queued", "done") else self.log.run(run_id)
            return pending(self.log.state(row.thread_id)) if row else []
        waiting = [row for row in self.log.open_runs() if row.status == "waiting"]
        return [call for row in waiting for call in pending(self.log.state(row.thread_id))]

    def sub_agents(self, thread: str) -> list[SubAgent]:
        """The runs that the agents of a thread have started, each as its own log has it now.

        In the order of their ids. Raises as `Log.state`.
        """
        known = sub_agents_in(self.log.state(thread)).runs
        return [sub_agent(self.log, run_id, ref) for run_id, ref in sorted(known.items())]

    def output(self, run_id: str) -> JsonValue:
        """What a run has come to; what its agent has said last, if it has not come to its end by itself.

        Raises:
            NotFound: there is no such run.
        """
        thread = replay(self.log.read(self._row(run_id).thread_id))
        said = [m.content for m in thread.messages if m.role == "assistant" and m.run_id == run_id]
        output = thread.runs[run_id].output
        return output if output is not None or not said else said[-1]

    def subscribe(self, run_id: str, after: tuple[int, int] | None = None) -> AsyncIterator[Event]:
        """The events of a run, through all its epochs until it is done, wherever it is executed.

        `after` is the cursor of the last fact seen: facts begin behind it, else with the first. Each comes
        once and in order, from the log if it is past, and as it is told if the run goes on here; a run that
        goes on elsewhere is seen 0.1 seconds behind, without what passes. A subscriber may be slow and may
        leave at any place: the run does not wait, and nothing is to be closed. Ends early when the runtime
        is closed.

        Raises:
            NotFound: there is no such run.
        """
        return self._streams.subscribe(run_id, Cursor(*after) if after else None)

    def state(self, thread: str, at: int | None = None) -> Any:
        """The state document of a thread. Raises as `Log.state`."""
        return self.log.state(thread, at)

    def messages(self, thread: str) -> tuple[Message, ...]:
        """The conversation of a thread; none of an unknown one."""
        return replay(self.log.read(thread)).messages

    def _row(self, run_id: str) -> RunRow:
        found = self.log.run(run_id)
        if found is None:
            raise NotFound(f"there is no run {run_id!r} in this log")
        return found

    def _status(self, run_id: str) -> str:
        """`running`, `waiting`, `queued` or `done`: as a queued run that was cancelled is, too."""
        # The queue first: a run that begins meanwhile is found behind it.
        is_queued = any(row.run_id == run_id for row in self.log.queued())
        if row := self.log.run(run_id):
            return row.status
        if self._is_beginning(run_id):
            return "running"
        if not self.log.head(control_stream(run_id)):
            raise NotFound(f"there is no run {run_id!r} in this log")
        return "queued" if is_queued else "done"

    def _is_beginning(self, run_id: str) -> bool:
        """Whether a run goes on here that is not in the log yet."""
        raise NotImplementedError


def begun(row: RunRow) -> ActiveRun:
    """A run that goes on or waits."""
    return ActiveRun(
        row.run_id, row.thread_id, row.agent, row.status, row.epoch, row.executor, row.parent_run_id
    )


def queued(row: QueuedRow) -> ActiveRun:
    """A run that waits for its turn."""
    return ActiveRun(row.run_id, row.thread_id, row.agent, "queued", parent_run_id=row.parent_run_id)
