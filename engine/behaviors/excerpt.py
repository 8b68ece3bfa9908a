"""What a request shows of a long conversation: a summary, previews, and the rest as it is. Pure.

    older than the boundary      a summary in its place
    settled                      large tool results as previews
    the last messages            as they are

The summary is told as a user's message: providers want one at the beginning, and what tools have said
must not come back with the authority of a system prompt.
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
    """Up to where a summary stands for the conversation."""

    covers_through_message_id: str
    summary: str
    original_tokens: int
    """Of what this summary took the place of, estimated: messages, and the summary before it."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A conversation, and how much of it is told by a summary."""

    messages: Sequence[Message]
    boundary: Boundary | None = None
    settled: int = 0
    """How many of the messages are older than those that are always shown as they are."""

    @property
    def covered(self) -> int:
        """How many messages the summary stands for; none if it is not about this conversation."""
        through = self.boundary.covers_through_message_id if self.boundary else None
        return next((n for n, message in enumerate(self.messages, 1) if message.id == through), 0)

    def shown(self) -> list[Message]:
        """The summary, and the messages that it does not stand for."""
        said = [summary_message(self.boundary)] if self.boundary and self.covered else []
        return [*said, *self.messages[self.covered :]]

    def before(self, cut: int) -> list[Message]:
        """What of the shown is from the first `cut` messages: what a summary of these is made of."""
        return self.shown()[: cut - self.covered + bool(self.covered)]

    def hidden(self) -> frozenset[str]:
        """Ids of the messages that the summary stands for, and of answers made up for their calls."""
        return spoken(self.messages[: self.covered])

    def large(self, tokens: int) -> frozenset[str]:
        """Ids of settled tool results of at least so many tokens."""
        results = (message for message in self.messages[: self.settled] if message.role == "tool")
        return frozenset(message.id for message in results if estimated_tokens([message]) >= tokens)

    def frontier(self, waiting: Set[str]) -> int:
        """The most settled messages that can be covered without parting a call from its answer.

        `waiting` are the calls whose answer is yet to come.
        """
        rounds = list(self._rounds(waiting))
        cuts = range(self.settled, 0, -1)
        return next((cut for cut in cuts if not any(first < cut <= last for first, last in rounds)), 0)

    def _rounds(self, waiting: Set[str]) -> Iterator[tuple[int, int]]:
        """From where to where each call and its answer stand."""
        issued: dict[str, int] = {}
        for place, message in enumerate(self.messages):
            issued |= {call.id: place for call in message.tool_calls}
            if message.tool_call_id in issued:
                yield issued[message.tool_call_id], place
        yield from ((issued[call_id], len(self.messages)) for call_id in waiting & issued.keys())


def spoken(messages: Sequence[Message]) -> frozenset[str]:
    """Ids of the messages, and of answers made up for their calls; system messages that lead them aside."""
    said = list(dropwhile(lambda message: message.role == "system", messages))
    answers = (f"{message.id}/{call.id}" for message in said for call in message.tool_calls)
    return frozenset([*(message.id for message in said), *answers])


def covered(request: ModelRequest, *, hidden: Set[str], boundary: Boundary) -> ModelRequest:
    """The request with the summary in the place of the messages that it stands for."""
    first = next((n for n, message in enumerate(request.messages) if message.id in hidden), None)
    if first is None:
        return request
    behind = [message for message in request.messages[first:] if message.id not in hidden]
    return replace(request, messages=[*request.messages[:first], summary_message(boundary), *behind])


def shortened(request: ModelRequest, *, large: Set[str]) -> ModelRequest:
    """The request with previews in the place of large tool results."""
    return replace(request, messages=previewed(request.messages, large))


def previewed(messages: Sequence[Message], large: Set[str]) -> list[Message]:
    """The messages, of some only the beginning of their content."""
    return [
        message.model_copy(update={"content": preview(message.content)}) if message.id in large else message
        for message in messages
    ]


def preview(content: str) -> str:
    """The beginning of a text, and how much of it is left out."""
    beginning = "\n".join(content[:PREVIEW_CHARACTERS].splitlines()[:PREVIEW_LINES])
    return f"{beginning}\n[{len(content) - len(beginning)} characters are left out here]"


def summary_message(boundary: Boundary) -> Message:
    """What the model is told in the place of the messages up to the boundary."""
    return Message(
        id=f"summary:{boundary.covers_through_message_id}",
        role="user",
        content=f"<conversation-summary>\n{boundary.summary}\n</conversation-summary>",
        visibility="internal",
    )


def transcript(messages: Sequence[Message]) -> str:
    """The messages as one text."""
    return "\n\n".join(f"{message.role}: {_text(message)}" for message in messages)


def estimated_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens the messages are: one for four characters."""
    return sum(len(_text(message)) for message in messages) // 4


def _text(message: Message) -> str:
    asked = (f"\n[calls {call.name} {dumps(call.arguments).decode()}]" for call in message.tool_calls)
    return message.content + "".join(asked)
