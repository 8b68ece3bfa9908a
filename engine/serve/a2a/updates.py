"""The live updates of a task: all changes of its status and text since it was read.

Durable changes are read from the log, after the version at which the task was read, so a client misses none.
While an answer is generated in this process, its text deltas are appended to the artifact `output`. If the
log then has a different text, because an attempt failed or another process resumed the run, the artifact is
replaced. So a client ends up with what the log has.
"""

from collections.abc import AsyncGenerator, Iterator

from a2a.types import Artifact, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent

from ...events import AttemptFailed, Event, Lagged, TextDelta
from ...runs import Run, RunService
from .task_list import AgentTasks
from .tasks import TaskFold, output_artifact

Update = TaskStatusUpdateEvent | TaskArtifactUpdateEvent


async def updates(runs: RunService, tasks: AgentTasks, fold: TaskFold) -> AsyncGenerator[Update, None]:
    """Yield the updates of a task that follow the state of `fold`, and apply them to `fold`.

    Ends when the run has finished, or when the runtime is closed.
    """
    task_id, client = fold.task.id, _ClientView(fold)
    if not fold.version and not await _begins(runs.get_run(task_id)):
        fold.apply_all(tasks.history(task_id))
        for update in client.catch_up(is_answer=False):
            yield update
        return
    async for event in runs.subscribe(task_id, tasks.cursor(fold)):
        for update in _updates_of(event, client, tasks):
            yield update


async def _begins(run: Run) -> bool:
    """Wait until a queued run has begun. False if it was cancelled in the queue: it has no events."""
    async for _ in run:
        return True
    return False


def _updates_of(event: Event, client: "_ClientView", tasks: AgentTasks) -> Iterator[Update]:
    match event:
        case TextDelta(text):
            yield client.append(text)
        case AttemptFailed() | Lagged():
            client.is_writing = False
    if event.cursor:
        for changeset in tasks.newer_changesets(client.fold, event.cursor):
            yield from client.catch_up(is_answer=client.fold.apply(changeset))


class _ClientView:
    """A task as a client has received it so far, and as the log has it."""

    def __init__(self, fold: TaskFold) -> None:
        self.fold = fold
        self.is_writing = False
        """Whether the next text delta continues the previous ones."""
        self._known = Task()
        """What was sent, except the text deltas."""
        self._known.CopyFrom(fold.task)
        self._deltas: list[str] = []
        """The text deltas sent since the artifact was last sent in full."""

    def append(self, delta: str) -> Update:
        """Return the update that appends a text delta to the artifact, or begins it anew."""
        append, self.is_writing = self.is_writing, True
        if not append:
            self._deltas.clear()
        self._deltas.append(delta)
        return self._artifact_update(output_artifact(delta), append=append)

    def catch_up(self, *, is_answer: bool) -> Iterator[Update]:
        """Yield what the client has not received. `is_answer`: the fold has the full text of an answer."""
        if is_answer:
            yield from self._replace_artifact()
        now, known = self.fold.task.status, self._known.status
        if now.state != known.state or now.message != known.message:
            known.CopyFrom(now)
            yield TaskStatusUpdateEvent(
                task_id=self._known.id, context_id=self.fold.task.context_id, status=now
            )

    def _replace_artifact(self) -> Iterator[Update]:
        sent = [output_artifact("".join(self._deltas))] if self._deltas else list(self._known.artifacts)
        now = list(self.fold.task.artifacts)
        self.is_writing = False
        self._deltas.clear()
        del self._known.artifacts[:]
        self._known.artifacts.extend(now)
        if sent != now:
            # An artifact cannot be withdrawn: if the log has none, send an empty one.
            yield self._artifact_update(now[0] if now else output_artifact(""), append=False)

    def _artifact_update(self, artifact: Artifact, *, append: bool) -> Update:
        return TaskArtifactUpdateEvent(
            task_id=self._known.id, context_id=self.fold.task.context_id, artifact=artifact, append=append
        )
