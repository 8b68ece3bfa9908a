"""The tasks of one agent, as the log has them: one by one, and in pages, the newest first."""

from collections.abc import Iterator
from typing import NamedTuple

from a2a.types import InvalidParamsError, ListTasksRequest, ListTasksResponse, TaskNotFoundError, TaskState
from a2a.utils.task import (
    ListTasksCursor,
    apply_history_length,
    decode_list_tasks_cursor,
    encode_list_tasks_cursor,
    validate_page_size,
)

from ....reducers.run import goes_on_by_itself
from ....store.changeset import Changeset, control_stream
from ....store.listing import RunRow
from ....store.log import Log
from .tasks import TaskFold

PAGE = 50
"""Tasks on a page of which nobody said how long it is to be."""


class _Listed(NamedTuple):
    at: int
    """Microseconds since 1970 when anything happened to it last."""

    task_id: str
    state: TaskState


class AgentTasks:
    """The runs of an agent, whoever started them."""

    def __init__(self, log: Log, agent: str) -> None:
        self.log = log
        self.agent = agent

    def fold(self, task_id: str) -> TaskFold:
        """A task as it is now.

        Raises:
            TaskNotFoundError: there is none, or it is another agent's.
        """
        row = self.log.run(task_id)
        history = list(self.history(task_id))
        wanted = next((each.entry.start for each in history if each.entry and each.entry.start), None)
        if self.agent not in (row and row.agent, wanted and wanted.agent):
            raise TaskNotFoundError(f"agent {self.agent!r} has no task {task_id!r}")
        return TaskFold.of(task_id, history)

    def history(self, task_id: str, after: int = 0, until: int | None = None) -> Iterator[Changeset]:
        """A run's changesets with versions in (after, until]; its control stream, if it has not begun."""
        row = self.log.run(task_id)
        if row is None:
            return self.log.read(control_stream(task_id))
        found = self.log.read(row.thread_id, max(after, row.first_version - 1), until or row.last_version)
        return (changeset for changeset in found if changeset.run_id == task_id)

    def page(self, wanted: ListTasksRequest) -> ListTasksResponse:
        """The tasks that are asked for, from where the page token says on. Costs as much as there are runs.

        Raises:
            InvalidParamsError: there are no pages of that size, or the token is none.
        """
        if wanted.HasField("page_size"):
            validate_page_size(wanted.page_size)
        found = self._listed(wanted)
        size, start = wanted.page_size or PAGE, _start(found, wanted.page_token)
        shown = found[start : start + size]
        is_last = start + size >= len(found)
        tasks = [apply_history_length(self.fold(each.task_id).task, wanted) for each in shown]
        if not wanted.include_artifacts:
            for task in tasks:
                task.ClearField("artifacts")
        return ListTasksResponse(
            tasks=tasks,
            total_size=len(found),
            page_size=size,
            next_page_token="" if is_last else encode_list_tasks_cursor(_cursor(shown[-1])),
        )

    def _listed(self, wanted: ListTasksRequest) -> list[_Listed]:
        after = wanted.status_timestamp_after.ToMicroseconds()
        found = [
            each
            for each in self._all(wanted.context_id or None)
            if wanted.status in (TaskState.TASK_STATE_UNSPECIFIED, each.state)
            and (each.at >= after or not wanted.HasField("status_timestamp_after"))
        ]
        return sorted(found, reverse=True)

    def _all(self, thread: str | None) -> list[_Listed]:
        # The queue first: a run that begins meanwhile is found behind it.
        queued = [row for row in self.log.queued(thread) if row.agent == self.agent]
        begun = {row.run_id: row for row in self.log.runs(thread) if row.agent == self.agent}
        folds = [self.fold(row.run_id) for row in queued if row.run_id not in begun]
        return [
            *(_Listed(row.updated_at, row.run_id, _state(row)) for row in begun.values()),
            *(_of(fold) for fold in folds),
        ]


def _of(fold: TaskFold) -> _Listed:
    status = fold.task.status
    return _Listed(status.timestamp.ToMicroseconds(), fold.task.id, status.state)


def _state(row: RunRow) -> TaskState:
    if row.status == "running" or row.termination is None or goes_on_by_itself(row.termination):
        return TaskState.TASK_STATE_WORKING
    match row.termination.type:
        case "suspended":
            return TaskState.TASK_STATE_INPUT_REQUIRED
        case "natural_end" | "behavior_requested":
            return TaskState.TASK_STATE_COMPLETED
        case "cancelled":
            return TaskState.TASK_STATE_CANCELED
        case "stopped" | "error":
            return TaskState.TASK_STATE_FAILED


def _cursor(listed: _Listed) -> ListTasksCursor:
    return ListTasksCursor(listed.at * 1000, listed.task_id)


def _start(found: list[_Listed], token: str) -> int:
    if not token:
        return 0
    cursor = decode_list_tasks_cursor(token)
    if cursor is None:
        raise InvalidParamsError(f"{token!r} is no page token: take the one that a page came with")
    return sum(_cursor(each).sort_key() >= cursor.sort_key() for each in found)
