"""The tasks of one agent, read from the log: one at a time, or in pages with the latest change first."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from a2a.types import InvalidParamsError, ListTasksRequest, ListTasksResponse, TaskNotFoundError, TaskState
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.task import (
    ListTasksCursor,
    apply_history_length,
    decode_list_tasks_cursor,
    encode_list_tasks_cursor,
    validate_page_size,
)

from ....store.changeset import Changeset, control_stream
from ....store.listing import QueuedRow, RunRow
from ....store.log import Log
from ...events import Cursor
from .task_state import task_state
from .tasks import TaskFold


class _Entry(NamedTuple):
    at: int
    """When the task last changed, in microseconds since 1970."""

    task_id: str
    state: TaskState


class AgentTasks:
    """The runs of an agent as tasks, however they were started."""

    def __init__(self, log: Log, agent: str) -> None:
        self.log = log
        self.agent = agent

    def fold(self, task_id: str) -> TaskFold:
        """Return a task as it is now.

        Raises:
            TaskNotFoundError: there is no such task, or it belongs to another agent.
        """
        row = self.log.run(task_id)
        history = list(self.history(task_id))
        start = next((each.entry.start for each in history if each.entry and each.entry.start), None)
        if self.agent not in (row and row.agent, start and start.agent):
            raise TaskNotFoundError(f"agent {self.agent!r} has no task {task_id!r}")
        return TaskFold.of(task_id, history)

    def history(self, task_id: str, after: int = 0, until: int | None = None) -> Iterator[Changeset]:
        """Return a run's changesets with versions in (after, until]; its control stream while queued."""
        row = self.log.run(task_id)
        if row is None:
            return self.log.read(control_stream(task_id))
        found = self.log.read(row.thread_id, max(after, row.first_version - 1), until or row.last_version)
        return (changeset for changeset in found if changeset.run_id == task_id)

    def cursor(self, fold: TaskFold) -> Cursor | None:
        """Return the cursor after the last changeset of a fold; None while the run is queued."""
        if not fold.version:
            return None
        return Cursor.after(self.log.position_of(fold.task.context_id, fold.version))

    def newer_changesets(self, fold: TaskFold, cursor: Cursor) -> Iterator[Changeset]:
        """Return the changesets up to a cursor that a fold has not applied."""
        until = self.log.version_at(fold.task.context_id, cursor.position)
        return self.history(fold.task.id, fold.version, until) if until > fold.version else iter(())

    def page(self, request: ListTasksRequest) -> ListTasksResponse:
        """Return the page that a request asks for. The cost grows with the number of runs.

        Raises:
            InvalidParamsError: the page size is out of range, or the page token is invalid.
        """
        if request.HasField("page_size"):
            validate_page_size(request.page_size)
        found = self._select(request)
        size, start = request.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE, _start(found, request.page_token)
        shown = found[start : start + size]
        is_last = start + size >= len(found)
        tasks = [apply_history_length(self.fold(each.task_id).task, request) for each in shown]
        if not request.include_artifacts:
            for task in tasks:
                task.ClearField("artifacts")
        return ListTasksResponse(
            tasks=tasks,
            total_size=len(found),
            page_size=size,
            next_page_token="" if is_last else encode_list_tasks_cursor(_cursor(shown[-1])),
        )

    def _select(self, request: ListTasksRequest) -> list[_Entry]:
        after = request.status_timestamp_after.ToMicroseconds()
        found = [
            each
            for each in self._all(request.context_id or None)
            if request.status in (TaskState.TASK_STATE_UNSPECIFIED, each.state)
            and (each.at >= after or not request.HasField("status_timestamp_after"))
        ]
        return sorted(found, reverse=True)

    def _all(self, thread: str | None) -> Iterable[_Entry]:
        # Read the queue first: a run that leaves it in between is then found among the started ones.
        queued = {row.run_id: self._entry(row) for row in self.log.queued(thread) if row.agent == self.agent}
        started = {row.run_id: _entry(row) for row in self.log.runs(thread) if row.agent == self.agent}
        return (queued | started).values()

    def _entry(self, row: QueuedRow) -> _Entry:
        status = self.fold(row.run_id).task.status
        return _Entry(status.timestamp.ToMicroseconds(), row.run_id, status.state)


def _entry(row: RunRow) -> _Entry:
    return _Entry(row.updated_at, row.run_id, task_state(row.status, row.termination))


def _cursor(entry: _Entry) -> ListTasksCursor:
    return ListTasksCursor(entry.at * 1000, entry.task_id)


def _start(found: list[_Entry], token: str) -> int:
    if not token:
        return 0
    cursor = decode_list_tasks_cursor(token)
    if cursor is None:
        raise InvalidParamsError(f"invalid page token {token!r}: send the token of the previous page")
    return sum(_cursor(each).sort_key() >= cursor.sort_key() for each in found)
