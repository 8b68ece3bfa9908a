"""A run as an A2A task: a fold over its changesets, for reading and for streaming. Pure.

The task has the id of the run, and the context has the id of the thread. `task_state.py` maps the states.

A task has one artifact, `output`: the text of the latest answer or, once the run has finished, its output,
as data if it is structured. The history holds the messages of the user and the agent in this run, without
tool results. The timestamp of the status is that of the run's last changeset.
"""

from collections.abc import Iterable, Sequence
from typing import Self

from a2a.types import Artifact, Part, Role, Task, TaskState, TaskStatus
from a2a.types import Message as A2AMessage
from pydantic import JsonValue

from ....reducers.run import NEVER_BEGAN, waits_for_process
from ....reducers.tool_call import DecideToolCall, MoveToolCall, SuspendToolCall
from ....store.changeset import (
    ActionRecord,
    Changeset,
    ControlEntry,
    Message,
    RunStatus,
    Termination,
)
from .messages import data_part, message_id, question_parts, text_part
from .task_state import FINAL, task_state

OUTPUT = "output"
"""The id and name of the artifact."""


def output_artifact(output: JsonValue) -> Artifact:
    """Return the artifact with a run's output, or with the text of an answer."""
    part = text_part(output) if isinstance(output, str) else data_part(output)
    return Artifact(artifact_id=OUTPUT, name=OUTPUT, parts=[part])


class TaskFold:
    """A task, computed from the changesets of its run."""

    def __init__(self, task_id: str) -> None:
        self.task = Task(id=task_id)
        self.version = 0
        """Version of the last changeset applied, on the run's thread; 0 while the run is queued."""
        self.control = 0
        """Version of the last command that the run has applied from its control stream."""
        self._asked: dict[str, SuspendToolCall] = {}

    @classmethod
    def of(cls, task_id: str, history: Iterable[Changeset]) -> Self:
        """Return the task of a run from its changesets or, while the run is queued, its control stream."""
        fold = cls(task_id)
        fold.apply_all(history)
        return fold

    @property
    def is_final(self) -> bool:
        return self.task.status.state in FINAL

    @property
    def is_asking(self) -> bool:
        return self.task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED

    @property
    def asked(self) -> list[SuspendToolCall]:
        """The open questions, in the order in which they were asked."""
        return list(self._asked.values())

    def apply_all(self, history: Iterable[Changeset]) -> None:
        for changeset in history:
            self.apply(changeset)

    def apply(self, changeset: Changeset) -> bool:
        """Apply the next changeset of the run. Return whether it holds the full text of an answer."""
        self.task.status.timestamp.FromMicroseconds(changeset.at)
        if changeset.entry:
            self._apply_command(changeset.entry)
            return False
        self.task.context_id, self.version = changeset.thread_id, changeset.version
        self.control = changeset.control or self.control
        self._track_questions(changeset.actions)
        for message in changeset.messages:
            self._add_message(message)
        if changeset.reason in ("run_started", "run_resumed"):
            self._set_status(TaskState.TASK_STATE_WORKING, [])
        if changeset.run and changeset.run.status != "running":
            self._end_epoch(changeset.run)
            return True
        return any(message.role == "assistant" for message in changeset.messages)

    def _apply_command(self, entry: ControlEntry) -> None:
        """Apply a command to a run that is still queued."""
        if entry.start:
            self.task.context_id = entry.start.thread_id
            self._set_status(TaskState.TASK_STATE_SUBMITTED, [])
            for message in entry.start.messages:
                self._add_message(message)
        elif entry.kind == "cancel":
            self._set_status(TaskState.TASK_STATE_CANCELED, [f"cancelled {NEVER_BEGAN.detail}"])

    def _track_questions(self, actions: Iterable[ActionRecord]) -> None:
        for record in actions:
            match record.reducer, record.action:
                case "tool_call", SuspendToolCall.__name__:
                    asked = SuspendToolCall.model_validate(record.payload)
                    self._asked[asked.call_id] = asked
                case "tool_call", DecideToolCall.__name__ | MoveToolCall.__name__:
                    self._asked.pop(str(record.payload["call_id"]), None)

    def _add_message(self, message: Message) -> None:
        if message.role not in ("user", "assistant") or message.visibility != "all" or not message.content:
            return
        if message.role == "assistant":
            self._set_output(message.content)
        added = self._message(
            _client_id(message),
            [text_part(message.content)],
            Role.ROLE_USER if message.role == "user" else Role.ROLE_AGENT,
        )
        if all(added.message_id != known.message_id for known in self.task.history):
            self.task.history.append(added)

    def _set_output(self, output: JsonValue) -> None:
        del self.task.artifacts[:]
        self.task.artifacts.append(output_artifact(output))

    def _end_epoch(self, run: RunStatus) -> None:
        """Apply the end of an epoch: the run has finished, or waits."""
        if run.output not in (None, ""):
            self._set_output(run.output)
        self._set_status(task_state(run.status, run.termination), self._explain(run.termination))

    def _explain(self, end: Termination | None) -> Sequence[Part | str | None]:
        """Return the message parts of an end: the open questions, or why the run ended."""
        if end is None or waits_for_process(end):
            return []
        match end.type:
            case "suspended":
                return question_parts(self.asked)
            case "stopped":
                return [f"stopped by {end.code}: {end.detail or ''}"]
            case "cancelled" | "error":
                return [end.detail]
        return []

    def _set_status(self, state: TaskState, details: Iterable[Part | str | None]) -> None:
        parts = [text_part(each) if isinstance(each, str) else each for each in details if each]
        status = TaskStatus(state=state, timestamp=self.task.status.timestamp)
        if parts:
            status.message.CopyFrom(self._message(f"{self.task.id}@{self.version}", parts, Role.ROLE_AGENT))
        self.task.status.CopyFrom(status)

    def _message(self, id: str, parts: Iterable[Part], role: Role) -> A2AMessage:
        return A2AMessage(
            message_id=id, context_id=self.task.context_id, task_id=self.task.id, role=role, parts=parts
        )


def _client_id(message: Message) -> str:
    """Return the id that the client gave a message; the id in the log if it came from no client."""
    return message_id(message.command_id or message.id) or message.id
