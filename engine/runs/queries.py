"""Read-only queries over the runs of a log.

The cost of a list grows with the number of unfinished runs, not with the log.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue

from ...reducers.replay import replay
from ...reducers.sub_agent import sub_agents_in
from ...reducers.tool_call import ToolCallState, pending_calls
from ...store.changeset import Executor, Message
from ...store.errors import NotFound
from ...store.listing import QueuedRow, RunRow
from ..events import Cursor, Event
from .environment import Environment
from .handle import Run
from .sub_agents import SubAgent, sub_agent

Status = Literal["running", "waiting", "queued", "done"]


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that is not finished."""

    run_id: str
    thread_id: str
    agent: str | None
    status: Literal["running", "waiting", "queued"]
    """`running`, `waiting` for a person, or `queued` after other runs of its thread."""

    epoch: int = 0
    """Its current epoch; 0 while it is queued."""

    executor: Executor | None = None
    """The process that executes it, or did last."""

    parent_run_id: str | None = None
    """The run that last started or resumed it."""


class Queries:
    """Answers a runtime's questions about its log. `Runtime` documents the public ones."""

    def __init__(self, environment: Environment) -> None:
        self._env = environment
        self._log = environment.log

    def active_runs(self, thread: str | None = None) -> list[ActiveRun]:
        return list(map(_active, self._log.active_runs(thread)))

    def pending(self, run_id: str | None = None) -> list[ToolCallState]:
        if run_id is not None:
            # If this run is finished or queued, the pending calls of its thread belong to another run.
            row = self._log.run(run_id) if self.status(run_id) in ("running", "waiting") else None
            return pending_calls(self._log.state(row.thread_id)) if row else []
        waiting = [row for row in self._log.open_runs() if row.status == "waiting"]
        return [call for row in waiting for call in pending_calls(self._log.state(row.thread_id))]

    def sub_agents(self, thread: str) -> list[SubAgent]:
        known = sub_agents_in(self._log.state(thread)).runs
        return [sub_agent(self._log, run_id, ref) for run_id, ref in sorted(known.items())]

    def output(self, run_id: str) -> JsonValue:
        thread = replay(self._log.read(self.row(run_id).thread_id))
        answers = [m.content for m in thread.messages if m.role == "assistant" and m.run_id == run_id]
        output = thread.runs[run_id].output
        return output if output is not None or not answers else answers[-1]

    def subscribe(self, run_id: str, after: Cursor | None = None) -> AsyncIterator[Event]:
        return self._env.streams.subscribe(run_id, after)

    def state(self, thread: str, at: int | None = None) -> Any:
        return self._log.state(thread, at)

    def messages(self, thread: str) -> tuple[Message, ...]:
        return replay(self._log.read(thread)).messages

    def get_run(self, run_id: str) -> Run:
        found = self._log.run_status(run_id)
        if found and found.thread_id:
            return self._env.handle(run_id, found.thread_id, found.agent)
        execution = self._env.executions.of(run_id)
        if not (execution or found):
            raise _unknown(run_id)
        return self._env.handle(run_id, execution.thread_id if execution else "", None)

    def row(self, run_id: str) -> RunRow:
        """Return the row of a run that has begun. Raises `NotFound`."""
        found = self._log.run(run_id)
        if found is None:
            raise _unknown(run_id)
        return found

    def status(self, run_id: str) -> Status:
        """Return the status of a run. A run cancelled in the queue is `done`. Raises `NotFound`."""
        found = self._log.run_status(run_id)
        if found and found.status != "starting":
            return found.status
        if self._env.executions.of(run_id):
            return "running"
        if found is None:
            raise _unknown(run_id)
        # It has commands but no start: its start was refused.
        return "done"


def _unknown(run_id: str) -> NotFound:
    return NotFound(f"there is no run {run_id!r} in this log")


def _active(row: RunRow | QueuedRow) -> ActiveRun:
    if isinstance(row, QueuedRow):
        return ActiveRun(row.run_id, row.thread_id, row.agent, "queued", parent_run_id=row.parent_run_id)
    assert row.status != "done"
    return ActiveRun(
        row.run_id, row.thread_id, row.agent, row.status, row.epoch, row.executor, row.parent_run_id
    )
