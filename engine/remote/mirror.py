"""How a thread mirrors a remote task. Pure.

    task -> its messages under fixed ids, its output, its questions

The ids make mirroring idempotent: whichever snapshots of a task are read, and however often, each message is
mirrored once. Messages are mirrored as they arrive. Artifacts are mirrored when the task has ended, because
until then they may grow.
"""

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from pydantic import JsonValue

from ...reducers.tool_call import Suspension
from ...store.changeset import Message
from ...store.document import dumps
from .protocol import Artifact, Part, Task, TaskMessage

TERMINAL = ("completed", "failed", "canceled", "rejected")
AWAITING_INPUT = ("input_required", "auth_required")

QUESTIONS = "pending"
"""The key of a data part under which a remote threadlog lists its questions, each with a ticket."""


class Question(NamedTuple):
    """A question of a remote task, as a suspended tool call."""

    call_id: str
    arguments: dict[str, JsonValue]
    """The remote ticket under `target`, if the task gave one."""

    suspension: Suspension


def status(task: Task) -> str:
    """Return the state of a task: `working`, `completed` and so on; `unknown` if the task has none."""
    return task.get("status", {}).get("state", "unknown").removeprefix("TASK_STATE_").lower()


def message_ids(task: Task) -> Iterator[str]:
    """Yield the ids of the messages in the history of a task."""
    return (each.get("messageId", "") for each in task.get("history", []))


def mirror_id(run_id: str, *names: str) -> str:
    """Return the id under which a run mirrors a message or a question."""
    return ":".join(("remote-a2a", run_id, *names))


def mirror_messages(task: Task, run_id: str, sent: Collection[str]) -> list[Message]:
    """Return the messages of a task, without those that this run has `sent`.

    The last one holds the rest of the task; it is internal.
    """
    received = [message for message in _messages(task) if message.get("messageId") not in sent]
    found = [_message(message, run_id, task) for message in received]
    if status(task) in TERMINAL:
        last = next((message.content for message in reversed(found) if message.role == "assistant"), None)
        artifacts = [_artifact(artifact, run_id, task) for artifact in task.get("artifacts", [])]
        # Many servers repeat the last message as an artifact.
        found += [artifact for artifact in artifacts if artifact.content != last]
    return [*(message for message in found if message.content), _payload(task, run_id)]


def drop_known_messages(task: Task, run_id: str, known: Collection[str]) -> Task:
    """Return the task without messages that are already mirrored, except the agent's last one."""
    history = task.get("history", [])
    last = next((each for each in reversed(history) if each.get("role") == "ROLE_AGENT"), None)
    new = [each for each in history if each is last or _id(each, run_id, task) not in known]
    return {**task, "history": new}


def has_news(task: Task, run_id: str, known: Collection[str], sent: Collection[str], before: str) -> bool:
    """Return whether a task has an unknown message, or a status other than `before`."""
    visible = mirror_messages(task, run_id, sent)[:-1]
    return status(task) != before or any(message.id not in known for message in visible)


def output(task: Task) -> JsonValue:
    """Return the output of a task: its artifacts or, without any, its last message.

    As text, unless every part is data.
    """
    agents = [each for each in _messages(task) if each.get("role") == "ROLE_AGENT"]
    sources: Sequence[Artifact | TaskMessage] = task.get("artifacts") or agents[-1:]
    parts = [part for source in sources for part in source.get("parts", [])]
    data = [part["data"] for part in parts if "data" in part]
    if parts and len(data) == len(parts):
        return data[0] if len(data) == 1 else data
    return "\n\n".join(filter(None, (text(source.get("parts", [])) for source in sources))) or None


def problem(task: Task) -> str:
    """Return why a task failed, as an error message."""
    reason = text(_status_message(task).get("parts", []))
    return f"the remote task {task.get('id')!r} ended as {status(task)}: {reason or 'no reason given'}"


def text(parts: Sequence[Part]) -> str:
    """Return the parts of a message as text: data as JSON, files by their names."""
    return "\n".join(map(_text, parts)).strip()


def questions(task: Task, run_id: str) -> Iterator[Question]:
    """Yield the questions of a task that waits for input: those with tickets, otherwise its message."""
    message = _status_message(task)
    asked = [each for part in message.get("parts", []) for each in _listed_questions(part)]
    for question in asked:
        id = mirror_id(run_id, "question", str(question["ticket"]))
        yield Question(id, {"target": question["ticket"]}, _suspension(question, id, status(task)))
    if not asked:
        id = mirror_id(run_id, "question", message.get("messageId") or _digest(task.get("status", {})))
        prompt = text(message.get("parts", [])) or f"The remote task is {status(task)}."
        yield Question(id, {}, _suspension({"message": prompt}, id, status(task)))


def _status_message(task: Task) -> TaskMessage:
    return task.get("status", {}).get("message", {})


def _messages(task: Task) -> list[TaskMessage]:
    """Return the messages of a task in order. The status message is the last."""
    last, history = _status_message(task), list(task.get("history", []))
    is_new = last and last.get("messageId", "") not in {each.get("messageId") for each in history}
    return [*history, last] if is_new else history


def _message(message: TaskMessage, run_id: str, task: Task) -> Message:
    return Message(
        id=_id(message, run_id, task),
        role="user" if message.get("role") == "ROLE_USER" else "assistant",
        content=text(message.get("parts", [])),
        origin="prompt" if message.get("role") == "ROLE_USER" else "model",
        run_id=run_id,
    )


def _id(message: TaskMessage, run_id: str, task: Task) -> str:
    return mirror_id(run_id, task.get("id", ""), message.get("messageId") or _digest(message))


def _artifact(artifact: Artifact, run_id: str, task: Task) -> Message:
    id = mirror_id(run_id, task.get("id", ""), "artifact", str(artifact.get("artifactId")))
    return Message(
        id=id, role="assistant", content=text(artifact.get("parts", [])), origin="model", run_id=run_id
    )


def _payload(task: Task, run_id: str) -> Message:
    rest = {key: value for key, value in task.items() if key not in ("history", "artifacts")}
    error = problem(task) if status(task) in ("failed", "rejected") else None
    payload = {
        "kind": "remote_a2a_task",
        "protocol": "a2a",
        "status": status(task),
        "done": status(task) in TERMINAL,
        "error": error,
        "task": rest,
    }
    id = mirror_id(run_id, task.get("id", ""), "task-payload", _digest(payload))
    content = dumps(payload).decode()
    return Message(id=id, role="system", content=content, visibility="internal", origin="note", run_id=run_id)


def _listed_questions(part: Part) -> list[dict[str, JsonValue]]:
    data = part.get("data")
    listed = data.get(QUESTIONS) if isinstance(data, dict) else None
    found = listed if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, dict) and isinstance(each.get("ticket"), str)]


def _suspension(question: dict[str, JsonValue], ticket: str, state: str) -> Suspension:
    return Suspension(
        ticket=ticket,
        action=str(question.get("action") or f"remote:{state}"),
        message=str(question.get("message") or ""),
        parameters=question.get("parameters"),
        response_schema=question.get("response_schema"),
        resume_mode="pass_decision_to_tool",
    )


def _text(part: Part) -> str:
    if "text" in part:
        return part["text"]
    if "data" in part:
        return dumps(part["data"]).decode()
    return f"[{part.get('filename') or part.get('url') or part.get('mediaType') or 'a file'}]"


def _digest(value: object) -> str:
    return sha256(dumps(value)).hexdigest()[:16]
