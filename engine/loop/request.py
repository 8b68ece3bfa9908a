"""Building a model's request: context messages in their places, then the transforms of behaviors. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ...store.changeset import Message
from ..agents import AddContextMessage, Target
from ..models import ModelRequest


@dataclass(slots=True)
class Throttle:
    """Remembers the steps in which context messages were shown, to repeat them only after their cooldown."""

    _shown: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def admits(self, message: AddContextMessage, step: int) -> bool:
        """Return whether a message is due in this step, and count it as shown if so."""
        if message.target == "conversation":
            return True
        digest = sha256(message.content.encode()).digest()
        last = self._shown.get(message.key)
        if last is not None and last[1] == digest and message.cooldown and step - last[0] <= message.cooldown:
            return False
        self._shown[message.key] = (step, digest)
        return True


def latest_context(messages: Iterable[AddContextMessage]) -> list[AddContextMessage]:
    """Return the last context message of each key and all conversation messages, in order."""
    latest: dict[object, AddContextMessage] = {}
    for place, message in enumerate(messages):
        key: object = place if message.target == "conversation" else message.key
        latest.pop(key, None)
        latest[key] = message
    return list(latest.values())


def place_messages(
    instructions: str, conversation: Sequence[Message], context: Sequence[AddContextMessage]
) -> list[Message]:
    """Return all messages of a request, each context message where its target says."""
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


def apply_transforms(
    request: ModelRequest, transforms: Iterable[Callable[[ModelRequest], ModelRequest]]
) -> ModelRequest:
    """Return the request after all transforms, in order."""
    for transform in transforms:
        request = transform(request)
    return request
