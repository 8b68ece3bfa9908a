"""A remote task, and what of it a thread mirrors. Pure.

    task -> its messages under fixed ids, the outcome, the questions

A task is plain data, as A2A's JSON has it. A message is mirrored once, whatever snapshots of the task were
seen and how often: what was said in the task comes as it is said, and its artifacts when it is over, for
until then they may grow.
"""

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any

from pydantic import JsonValue

from ...reducers.tool_call import Suspension
from ...store.changeset import Message
from ...store.document import dumps

Task = dict[str, Any]

OVER = ("completed", "failed", "canceled", "rejected")
ASKING = ("input_required", "auth_required")

QUESTIONS = "pending"
"""The key of a data part under which another threadlog asks, with its own tickets."""


def status(task: Task) -> str:
    """Where a task stands: `working`, `completed`, … A task without a status is `unknown`."""
    state = str(task.get("status", {}).get("state", "unknown"))
    return state.removeprefix("TASK_STATE_").lower()


def place(run_id: str, *names: str) -> str:
    """The id of something that a run mirrors."""
    return ":".join(("remote-a2a", run_id, *names))


def mirrored(task: Task, run_id: str, sent: Collection[str]) -> list[Message]:
    """The messages of a task under their fixed ids, those aside that we have `sent` ourselves.

    Behind them stands the rest of the task, as a message that people do not see.
    """
    said = [message for message in _said(task) if message.get("messageId") not in sent]
    found = [_message(message, run_id, task) for message in said]
    if status(task) in OVER:
        last = next((message.content for message in reversed(found) if message.role == "assistant"), None)
        artifacts = [_artifact(artifact, run_id, task) for artifact in task.get("artifacts", [])]
        # Many servers give what was said last as an artifact, too.
        found += [artifact for artifact in artifacts if artifact.content != last]
    return [*(message for message in found if message.content), _payload(task, run_id)]


def fresh(task: Task, run_id: str, known: Collection[str]) -> Task:
    """The task without what was said in it and is mirrored already; what its agent said last stays."""
    history = task.get("history", [])
    last = next((each for each in reversed(history) if each.get("role") == "ROLE_AGENT"), None)
    new = [each for each in history if each is last or _id(each, run_id, task) not in known]
    return {**task, "history": new}


def has_news(task: Task, run_id: str, known: Collection[str], sent: Collection[str], before: str) -> bool:
    """Whether there is a message in a task that is not known, or its status is not that of `before`."""
    visible = mirrored(task, run_id, sent)[:-1]
    return status(task) != before or any(message.id not in known for message in visible)


def output(task: Task) -> JsonValue:
    """What a task came to: the text of its artifacts, else of the last message. JSON if that is all data."""
    agents = [each for each in _said(task) if each.get("role") == "ROLE_AGENT"]
    sources = task.get("artifacts") or agents[-1:]
    parts = [part for source in sources for part in source.get("parts", [])]
    data = [part["data"] for part in parts if "data" in part]
    if parts and len(data) == len(parts):
        return data[0] if len(data) == 1 else data
    return "\n\n".join(filter(None, (text(source.get("parts", [])) for source in sources))) or None


def problem(task: Task) -> str:
    """Why a task failed, in its own words."""
    said = text(task.get("status", {}).get("message", {}).get("parts", []))
    return f"the remote task {task.get('id')!r} ended as {status(task)}: {said or 'it does not say why'}"


def text(parts: Sequence[dict[str, Any]]) -> str:
    """The parts of a message as text: data as JSON, files by their names."""
    return "\n".join(map(_text, parts)).strip()


def questions(task: Task, run_id: str) -> Iterator[tuple[str, dict[str, Any], Suspension]]:
    """What a task that waits asks: call ids, what is known of each question, and the questions."""
    message = task.get("status", {}).get("message", {})
    asked = [each for part in message.get("parts", []) for each in _listed(part)]
    for question in asked:
        id = place(run_id, "question", str(question["ticket"]))
        yield id, {"target": question["ticket"]}, _suspension(question, id, status(task))
    if not asked:
        id = place(run_id, "question", message.get("messageId") or _digest(task.get("status", {})))
        said = {"message": text(message.get("parts", [])) or f"The remote task is {status(task)}."}
        yield id, {}, _suspension(said, id, status(task))


def _said(task: Task) -> list[dict[str, Any]]:
    """What was said in a task, in order: what its status says comes last."""
    last = task.get("status", {}).get("message")
    history = list(task.get("history", []))
    is_new = last and last.get("messageId", "") not in {each.get("messageId") for each in history}
    return [*history, last] if last and is_new else history


def _message(message: dict[str, Any], run_id: str, task: Task) -> Message:
    return Message(
        id=_id(message, run_id, task),
        role="user" if message.get("role") == "ROLE_USER" else "assistant",
        content=text(message.get("parts", [])),
        run_id=run_id,
    )


def _id(message: dict[str, Any], run_id: str, task: Task) -> str:
    return place(run_id, task.get("id", ""), message.get("messageId") or _digest(message))


def _artifact(artifact: dict[str, Any], run_id: str, task: Task) -> Message:
    id = place(run_id, task.get("id", ""), "artifact", str(artifact.get("artifactId")))
    return Message(id=id, role="assistant", content=text(artifact.get("parts", [])), run_id=run_id)


def _payload(task: Task, run_id: str) -> Message:
    rest = {key: value for key, value in task.items() if key not in ("history", "artifacts")}
    error = problem(task) if status(task) in ("failed", "rejected") else None
    payload = {
        "kind": "remote_a2a_task",
        "protocol": "a2a",
        "status": status(task),
        "done": status(task) in OVER,
        "error": error,
        "task": rest,
    }
    id = place(run_id, task.get("id", ""), "task-payload", _digest(payload))
    content = dumps(payload).decode()
    return Message(id=id, role="system", content=content, visibility="internal", run_id=run_id)


def _listed(part: dict[str, Any]) -> list[dict[str, Any]]:
    data = part.get("data")
    listed = data.get(QUESTIONS) if isinstance(data, dict) else None
    found = listed if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, dict) and isinstance(each.get("ticket"), str)]


def _suspension(question: dict[str, Any], ticket: str, asks: str) -> Suspension:
    return Suspension(
        ticket=ticket,
        action=str(question.get("action") or f"remote:{asks}"),
        message=str(question.get("message") or ""),
        parameters=question.get("parameters"),
        response_schema=question.get("response_schema"),
        resume_mode="pass_decision_to_tool",
    )


def _text(part: dict[str, Any]) -> str:
    if "text" in part:
        return str(part["text"])
    if "data" in part:
        return dumps(part["data"]).decode()
    return f"[{part.get('filename') or part.get('url') or part.get('mediaType') or 'a file'}]"


def _digest(value: Any) -> str:
    return sha256(dumps(value)).hexdigest()[:16]
