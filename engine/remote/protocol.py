"""The A2A protocol as plain data: the types of its JSON, its numbers, our extension. This needs no SDK.

Servers leave out empty fields, so every field is optional.
"""

from typing import TypeAlias, TypedDict

from pydantic import JsonValue

IDEMPOTENT = "https://threadlog.dev/a2a/idempotent-messages"
"""The extension by which a server declares that it accepts each message id once."""

MAX_EXACT_INTEGER = 2**53
"""The SDK reads JSON numbers as floats; up to here, a float holds every integer exactly."""

JsonObject: TypeAlias = dict[str, JsonValue]
AgentCard: TypeAlias = JsonObject
"""The agent card as published, unchanged."""


class Part(TypedDict, total=False):
    """A piece of a message or of an artifact: a text, data or a file."""

    text: str
    data: JsonValue
    url: str
    filename: str
    mediaType: str


class TaskMessage(TypedDict, total=False):
    """A message in a task."""

    messageId: str
    contextId: str
    taskId: str
    role: str
    """`ROLE_USER` or `ROLE_AGENT`."""
    parts: list[Part]


class TaskStatus(TypedDict, total=False):
    """The state of a task, and what the agent says about it."""

    state: str
    """`TASK_STATE_WORKING`, `TASK_STATE_COMPLETED` and so on."""
    message: TaskMessage


class Artifact(TypedDict, total=False):
    """A result of a task."""

    artifactId: str
    parts: list[Part]


class Task(TypedDict, total=False):
    """A snapshot of a task."""

    id: str
    contextId: str
    status: TaskStatus
    history: list[TaskMessage]
    artifacts: list[Artifact]


class StatusUpdate(TypedDict, total=False):
    """A streamed change of a task's status."""

    status: TaskStatus


class ArtifactUpdate(TypedDict, total=False):
    """A streamed artifact, or a piece of one."""

    artifact: Artifact


class StreamResponse(TypedDict, total=False):
    """A server's answer to a message, and each event of a stream. One of the fields is set."""

    task: Task
    message: TaskMessage
    statusUpdate: StatusUpdate
    artifactUpdate: ArtifactUpdate


def restore_integers(value: JsonValue) -> JsonValue:
    """Return the value with integral floats as integers."""
    match value:
        case dict():
            return {key: restore_integers(inner) for key, inner in value.items()}
        case list():
            return [restore_integers(inner) for inner in value]
        case float() if value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
            return int(value)
    return value
