"""The part of a long conversation that a request shows: a summary, previews, and the rest. Pure.

    messages up to the boundary     replaced by a summary
    settled messages                large tool results become previews
    the last messages               unchanged

The summary is a user message. Providers expect one at the beginning, and text from tools must not return with
the authority of a system prompt.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import dropwhile

from pydantic import BaseModel

from ...store.changeset import Message
from ...store.document import dumps
from ..models import ModelRequest

PREVIEW_CHARACTERS = 1600
PREVIEW_LINES = 24


class Boundary(BaseModel):
    """A summary, and the last message that it replaces."""

    covers_through_message_id: str
    summary: str
    original_tokens: int
    """The estimated size of what the summary replaced: messages, and the summary before it."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A conversation and the summary of its older part."""

    messages: Sequence[Message]
    boundary: Boundary | None = None
    settled: int = 0
    """The number of messages before those that are always shown unchanged."""

    @property
    def covered_count(self) -> int:
        """The number of messages that the summary replaces: 0 if it belongs to another conversation."""
        through = self.boundary.covers_through_message_id if self.boundary else None
        return next((n for n, message in enumerate(self.messages, 1) if message.id == through), 0)

    def visible(self) -> list[Message]:
        """Return the summary and the messages after it."""
        summary = [summary_message(self.boundary)] if self.boundary and self.covered_count else []
        return [*summary, *self.messages[self.covered_count :]]

    def visible_before(self, cut: int) -> list[Message]:
        """Return the visible part of the first `cut` messages: the input of their summary."""
        return self.visible()[: cut - self.covered_count + bool(self.covered_count)]

    def hidden_ids(self) -> frozenset[str]:
        """Return the ids of the messages that the summary replaces, and of placeholder answers to calls."""
        return conversation_ids(self.messages[: self.covered_count])

    def large_result_ids(self, tokens: int) -> frozenset[str]:
        """Return the ids of the settled tool results that have at least this many tokens."""
        results = (message for message in self.messages[: self.settled] if message.role == "tool")
        return frozenset(message.id for message in results if estimate_tokens([message]) >= tokens)

    def frontier(self, waiting: Set[str]) -> int:
        """Return how many settled messages a summary can replace without separating a call from its answer.

        `waiting` are the calls that have no answer yet.
        """
        rounds = list(self._rounds(waiting))
        cuts = range(self.settled, 0, -1)
        return next((cut for cut in cuts if not any(first < cut <= last for first, last in rounds)), 0)

    def _rounds(self, waiting: Set[str]) -> Iterator[tuple[int, int]]:
        """Yield the places of each call and its answer."""
        issued: dict[str, int] = {}
        for place, message in enumerate(self.messages):
            issued |= {call.id: place for call in message.tool_calls}
            if message.tool_call_id in issued:
                yield issued[message.tool_call_id], place
        yield from ((issued[call_id], len(self.messages)) for call_id in waiting & issued.keys())


def conversation_ids(messages: Sequence[Message]) -> frozenset[str]:
    """Return the ids of the messages from the first that is not `system`, and of placeholder answers."""
    conversation = list(dropwhile(lambda message: message.role == "system", messages))
    answers = (f"{message.id}/{call.id}" for message in conversation for call in message.tool_calls)
    return frozenset([*(message.id for message in conversation), *answers])


def insert_summary(request: ModelRequest, *, hidden: Set[str], boundary: Boundary) -> ModelRequest:
    """Return the request with the summary in place of the hidden messages."""
    first = next((n for n, message in enumerate(request.messages) if message.id in hidden), None)
    if first is None:
        return request
    rest = [message for message in request.messages[first:] if message.id not in hidden]
    return replace(request, messages=[*request.messages[:first], summary_message(boundary), *rest])


def shorten_request(request: ModelRequest, *, large: Set[str]) -> ModelRequest:
    """Return the request with previews in place of large tool results."""
    return replace(request, messages=shorten_messages(request.messages, large))


def shorten_messages(messages: Sequence[Message], large: Set[str]) -> list[Message]:
    """Return the messages with previews in place of the large ones."""
    return [
        message.model_copy(update={"content": preview(message.content)}) if message.id in large else message
        for message in messages
    ]


def preview(content: str) -> str:
    """Return the beginning of a text, with a note on how much is missing."""
    beginning = "\n".join(content[:PREVIEW_CHARACTERS].splitlines()[:PREVIEW_LINES])
    return f"{beginning}\n[{len(content) - len(beginning)} characters are left out here]"


def summary_message(boundary: Boundary) -> Message:
    """Return the message that replaces all messages up to the boundary."""
    return Message(
        id=f"summary:{boundary.covers_through_message_id}",
        role="user",
        content=f"<conversation-summary>\n{boundary.summary}\n</conversation-summary>",
        visibility="internal",
    )


def transcript(messages: Sequence[Message]) -> str:
    """Return the messages as one text."""
    return "\n\n".join(f"{message.role}: {_text(message)}" for message in messages)


def estimate_tokens(messages: Sequence[Message]) -> int:
    """Estimate the number of tokens: one for four characters."""
    return sum(len(_text(message)) for message in messages) // 4


def _text(message: Message) -> str:
    calls = (f"\n[calls {call.name} {dumps(call.arguments).decode()}]" for call in message.tool_calls)
    return message.content + "".join(calls)
