"""A run as an A2A task: a fold of its changesets, so that what is told is what is read later. Pure.

    run, thread                        task, context: under the same ids
    queued                             submitted
    running                            working
    waiting                            input required, with the questions; working, if its process died
                                       and it is to go on
    natural_end, behavior_requested    completed
    cancelled                          canceled
    stopped, error                     failed, with the rule's reason or the error

A task has one artifact, `output`: the text of the latest answer, and at the end what the run came to, as
data if that is structured. Its history is what the user and the agent said in this run; what tools answered
is not told. A status is as old as the last that happened to the run.
"""

from collections.abc import Iterable
from typing import Self

from a2a.types import Artifact, Part, Role, Task, TaskState, TaskStatus
from a2a.types import Message as Said
from pydantic import JsonValue

from ....reducers.run import goes_on_by_itself
from ....reducers.tool_call import ToolCallDecided, ToolCallMoved, ToolCallSuspended
from ....store.changeset import (
    ActionRecord,
    Changeset,
    ControlEntry,
    Message,
    RunFacts,
    Termination,
    steering_id,
)
from .messages import data_part, message_id, question, text_part

OUTPUT = "output"

FINAL = frozenset(
    {TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELED}
)


def written(output: JsonValue) -> Artifact:
    """The artifact of what a run says or comes to."""
    part = text_part(output) if isinstance(output, str) else data_part(output)
    return Artifact(artifact_id=OUTPUT, name=OUTPUT, parts=[part])


class TaskFold:
    """A task, from what the log has of its run."""

    def __init__(self, task_id: str) -> None:
        self.task = Task(id=task_id)
        self.version = 0
        """The version of the run's thread that was taken last; 0 while the run has not begun."""
        self.control = 0
        """Up to which version of its control stream the run has taken in what is there."""
        self._asked: dict[str, ToolCallSuspended] = {}

    @classmethod
    def of(cls, task_id: str, history: Iterable[Changeset]) -> Self:
        """The task of a run's changesets; of its control stream, if the run has not begun."""
        fold = cls(task_id)
        fold.take_all(history)
        return fold

    @property
    def is_final(self) -> bool:
        return self.task.status.state in FINAL

    @property
    def is_asking(self) -> bool:
        return self.task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED

    @property
    def asked(self) -> list[ToolCallSuspended]:
        """What a person is asked, in the order of asking."""
        return list(self._asked.values())

    def take_all(self, history: Iterable[Changeset]) -> None:
        for changeset in history:
            self.take(changeset)

    def take(self, changeset: Changeset) -> bool:
        """Go on by the next changeset of the run. Whether it says what the text of an answer is."""
        self.task.status.timestamp.FromMicroseconds(changeset.at)
        if changeset.entry:
            self._wanted(changeset.entry)
            return False
        self.task.context_id, self.version = changeset.thread_id, changeset.version
        self.control = changeset.control or self.control
        self._take_questions(changeset.actions)
        for message in changeset.messages:
            self._say(message)
        if changeset.reason in ("run_started", "run_resumed"):
            self._move(TaskState.TASK_STATE_WORKING, [])
        if changeset.run and changeset.run.status != "running":
            self._end(changeset.run)
            return True
        return any(message.role == "assistant" for message in changeset.messages)

    def _wanted(self, entry: ControlEntry) -> None:
        """What is wanted of a run that waits for its turn."""
        if entry.start:
            self.task.context_id = entry.start.thread_id
            self._move(TaskState.TASK_STATE_SUBMITTED, [])
            for message in entry.start.messages:
                self._say(message)
        elif entry.kind == "cancel":
            self._move(TaskState.TASK_STATE_CANCELED, ["cancelled before its turn came"])

    def _take_questions(self, actions: Iterable[ActionRecord]) -> None:
        for record in actions:
            match record.reducer, record.action:
                case "tool_call", ToolCallSuspended.__name__:
                    asked = ToolCallSuspended.model_validate(record.payload)
                    self._asked[asked.call_id] = asked
                case "tool_call", ToolCallDecided.__name__ | ToolCallMoved.__name__:
                    self._asked.pop(str(record.payload["call_id"]), None)

    def _say(self, message: Message) -> None:
        if message.role not in ("user", "assistant") or message.visibility != "all" or not message.content:
            return
        if message.role == "assistant":
            self._come_to(message.content)
        said = self._message(
            self._client_id(message.id),
            [text_part(message.content)],
            Role.ROLE_USER if message.role == "user" else Role.ROLE_AGENT,
        )
        if all(said.message_id != known.message_id for known in self.task.history):
            self.task.history.append(said)

    def _client_id(self, id: str) -> str:
        """The id that the client gave a message, if it is one of his."""
        return message_id(id.removeprefix(steering_id(self.task.id))) or id

    def _come_to(self, output: JsonValue) -> None:
        del self.task.artifacts[:]
        self.task.artifacts.append(written(output))

    def _end(self, run: RunFacts) -> None:
        if run.output not in (None, ""):
            self._come_to(run.output)
        end = run.termination or Termination(type="error")
        if goes_on_by_itself(end):
            return
        match end.type:
            case "suspended":
                self._move(TaskState.TASK_STATE_INPUT_REQUIRED, question(self.asked))
            case "natural_end" | "behavior_requested":
                self._move(TaskState.TASK_STATE_COMPLETED, [])
            case "cancelled":
                self._move(TaskState.TASK_STATE_CANCELED, [end.detail])
            case "stopped":
                self._move(TaskState.TASK_STATE_FAILED, [f"stopped by {end.code}: {end.detail or ''}"])
            case "error":
                self._move(TaskState.TASK_STATE_FAILED, [end.detail])

    def _move(self, state: TaskState, told: Iterable[Part | str | None]) -> None:
        parts = [text_part(each) if isinstance(each, str) else each for each in told if each]
        status = TaskStatus(state=state, timestamp=self.task.status.timestamp)
        if parts:
            status.message.CopyFrom(self._message(f"{self.task.id}@{self.version}", parts, Role.ROLE_AGENT))
        self.task.status.CopyFrom(status)

    def _message(self, id: str, parts: Iterable[Part], role: Role) -> Said:
        return Said(
            message_id=id, context_id=self.task.context_id, task_id=self.task.id, role=role, parts=parts
        )
