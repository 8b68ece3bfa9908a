"""A task as it goes on: every change of its status and text behind where it was read.

Facts come from the log, behind the version that the task was read at: none is left out, whenever a client
comes. Text comes in pieces while it is written here, appended to the artifact `output`; when the answer is in
the log and is another text than what was told, as it is if the run goes on elsewhere or an attempt has
failed, the artifact is replaced. What a client has put together is then what is read from the log.
"""

from collections.abc import AsyncGenerator, Iterator

from a2a.types import Artifact, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent

from ...events import AttemptFailed, Cursor, Event, Lagged, TextDelta
from ...runs import Runs
from .task_list import AgentTasks
from .tasks import TaskFold, written

Update = TaskStatusUpdateEvent | TaskArtifactUpdateEvent


async def updates(runs: Runs, tasks: AgentTasks, fold: TaskFold) -> AsyncGenerator[Update, None]:
    """What happens to a task behind where `fold` stands, which goes on with it: to the end of its run.

    Ends early when the runtime is closed.
    """
    task_id, told = fold.task.id, _Told(fold)
    if not fold.version and await runs.run(task_id).events() is None:
        # Cancelled before its turn came.
        fold.take_all(tasks.history(task_id))
        for update in told.news(is_said=False):
            yield update
        return
    async for event in runs.subscribe(task_id, Cursor.behind(fold.version) if fold.version else None):
        for update in _heard(event, told, tasks):
            yield update


def _heard(event: Event, told: "_Told", tasks: AgentTasks) -> Iterator[Update]:
    match event:
        case TextDelta(text):
            yield told.piece(text)
        case AttemptFailed() | Lagged():
            told.is_writing = False
    if event.cursor and event.cursor.version > told.fold.version:
        for changeset in tasks.history(told.fold.task.id, told.fold.version, event.cursor.version):
            yield from told.news(is_said=told.fold.take(changeset))


class _Told:
    """What somebody who follows a task has been told of it."""

    def __init__(self, fold: TaskFold) -> None:
        self.fold = fold
        self.is_writing = False
        """Whether the next piece of text belongs to those before."""
        self._known = _copied(fold.task)
        """The task as it was told, but for the pieces."""
        self._pieces: list[str] = []
        """The text that was told in pieces since it was told whole."""

    def piece(self, text: str) -> Update:
        """A piece of the text that is being written."""
        append, self.is_writing = self.is_writing, True
        if not append:
            self._pieces.clear()
        self._pieces.append(text)
        return self._output(written(text), append=append)

    def news(self, *, is_said: bool) -> Iterator[Update]:
        """What is new in the fold; if the text that was being written is in there, that too."""
        if is_said:
            yield from self._settled()
        now, known = self.fold.task.status, self._known.status
        if now.state != known.state or now.message != known.message:
            known.CopyFrom(now)
            yield TaskStatusUpdateEvent(
                task_id=self._known.id, context_id=self.fold.task.context_id, status=now
            )

    def _settled(self) -> Iterator[Update]:
        told = [written("".join(self._pieces))] if self._pieces else list(self._known.artifacts)
        now = list(self.fold.task.artifacts)
        self.is_writing = False
        self._pieces.clear()
        del self._known.artifacts[:]
        self._known.artifacts.extend(now)
        if told != now:
            # The log may have nothing of what was told: a text cannot be taken back, but by an empty one.
            yield self._output(now[0] if now else written(""), append=False)

    def _output(self, artifact: Artifact, *, append: bool) -> Update:
        return TaskArtifactUpdateEvent(
            task_id=self._known.id, context_id=self.fold.task.context_id, artifact=artifact, append=append
        )


def _copied(task: Task) -> Task:
    copy = Task()
    copy.CopyFrom(task)
    return copy
