"""Assembling a model's request: context messages at their places, then the transforms of behaviors. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ...store.changeset import Message
from ..agents import AddContextMessage, Target
from ..models import ModelRequest


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
