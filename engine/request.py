"""The model's request, made from the conversation. The log is never repaired; the request is. Pure.

Every call that the model once made is answered right behind it: by its result, or, while a person decides,
when the result came later, or when a crash cut it off, by a text that says so. A result that came later
stands where it came, as a note to the model, because providers refuse a tool message elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import takewhile
from typing import Any

from ..store.changeset import Message, ToolCall
from ..store.document import dumps
from .actions import AddContextMessage, Target
from .model import ModelRequest, ToolSpec

INTERRUPTED = "[Tool execution was interrupted before producing a result.]"
LATER = "[The result of this call came later: it is further below.]"


def awaiting(name: str) -> str:
    """What the model is told of a call that a person has yet to decide."""
    return f"Tool '{name}' is awaiting approval. Execution paused."


def repaired(messages: Sequence[Message], suspended: Iterable[str] = ()) -> list[Message]:
    """The conversation as a provider accepts it. `suspended` are the calls that wait for a person."""
    waiting, late = frozenset(suspended), dict(_late(messages))
    came = {(turn, messages[place].tool_call_id) for place, turn in late.items()}
    made: list[Message] = []
    for place, message in enumerate(messages):
        if place in late:
            made.append(_note(message, messages[late[place]]))
        if message.role == "tool":
            continue
        made.append(message)
        behind = {m.tool_call_id: m for m in _block(messages, place)} if message.tool_calls else {}
        for call in message.tool_calls:
            absent = LATER if (place, call.id) in came else INTERRUPTED
            text = awaiting(call.name) if call.id in waiting and absent is INTERRUPTED else absent
            made.append(behind.get(call.id) or _unanswered(message, call, text))
    return made


def _late(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Each tool message that is not behind its call, and the turn that made the call. Places."""
    for place, message in enumerate(messages):
        if message.role != "tool":
            continue
        turn = next((n for n in reversed(range(place)) if _made(messages[n], message)), None)
        if turn is not None and any(map(ends_round, messages[turn + 1 : place])):
            yield place, turn


def _made(turn: Message, answer: Message) -> bool:
    return any(call.id == answer.tool_call_id for call in turn.tool_calls)


def _block(messages: Sequence[Message], place: int) -> list[Message]:
    """The tool messages of the turn's own round."""
    behind = takewhile(lambda message: not ends_round(message), messages[place + 1 :])
    return [message for message in behind if message.role == "tool"]


def ends_round(message: Message) -> bool:
    """Whether it belongs to no round before it."""
    # What tools and behaviors add is internal and stands among the results: calls end in any order.
    return message.role == "assistant" or (message.role == "user" and message.visibility == "all")


def _unanswered(message: Message, call: ToolCall, text: str) -> Message:
    return Message(id=f"{message.id}/{call.id}", role="tool", content=text, tool_call_id=call.id)


def _note(message: Message, turn: Message) -> Message:
    call = next(call for call in turn.tool_calls if call.id == message.tool_call_id)
    text = f"The tool call {call.name} ({call.id}) has been answered: {message.content}"
    return message.model_copy(update={"role": "user", "content": text, "tool_call_id": None})


@dataclass(slots=True)
class Throttle:
    """Which context messages were shown when, in this run."""

    _shown: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def admits(self, message: AddContextMessage, step: int) -> bool:
        """Whether the message is to be shown in this step; then it counts as shown."""
        if message.target == "conversation":
            return True
        digest = sha256(message.content.encode()).digest()
        last = self._shown.get(message.key)
        if last is not None and last[1] == digest and message.cooldown and step - last[0] <= message.cooldown:
            return False
        self._shown[message.key] = (step, digest)
        return True


def normalised(messages: Iterable[AddContextMessage]) -> list[AddContextMessage]:
    """Of one key the last, at its place; conversation messages all."""
    made: dict[object, AddContextMessage] = {}
    for place, message in enumerate(messages):
        key: object = place if message.target == "conversation" else message.key
        made.pop(key, None)
        made[key] = message
    return list(made.values())


def placed(
    instructions: str, conversation: Sequence[Message], context: Sequence[AddContextMessage]
) -> list[Message]:
    """All messages of a request: each context message where its target says."""
    base = [Message(id="instructions", role="system", content=instructions)] if instructions else []
    leading = next((n for n, m in enumerate(conversation) if m.role != "system"), len(conversation))
    return [
        *base,
        *_at("system", context),
        *conversation[:leading],
        *_at("session", context),
        *_at("conversation", context),
        *conversation[leading:],
        *_at("suffix_system", context),
    ]


def _at(target: Target, context: Sequence[AddContextMessage]) -> list[Message]:
    return [
        Message(
            id=f"context:{message.key}", role=message.role, content=message.content, visibility="internal"
        )
        for message in context
        if message.target == target
    ]


def transformed(
    request: ModelRequest, transforms: Iterable[Callable[[ModelRequest], ModelRequest]]
) -> ModelRequest:
    """The request after every transform, in order."""
    for transform in transforms:
        request = transform(request)
    return request


def digest(request: ModelRequest) -> str:
    """SHA-256 of the request's canonical JSON: two runs that asked the same have equal ones."""
    messages = [message.model_dump(exclude_defaults=True) for message in request.messages]
    tools = [_tool_json(tool) for tool in request.tools]
    settings: Mapping[str, Any] = request.settings
    return sha256(dumps([messages, tools, dict(settings)], record=True)).hexdigest()


def _tool_json(tool: ToolSpec) -> tuple[str, str, dict[str, Any]]:
    return tool.name, tool.description, tool.parameters
