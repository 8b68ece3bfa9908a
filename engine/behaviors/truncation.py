"""Truncation: a request that is too long leaves out the oldest of the conversation. The log keeps it all.

Rounds go as a whole, the model's turn with what tools gave, so that no answer is without its call. What
stands in for the conversation, or beside it, stays: instructions, system messages that lead it, context
messages, a summary. It asks nobody and keeps nothing: each request is cut by what is in it.
"""

from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import replace
from functools import partial

from ...store.changeset import Message
from ...store.document import dumps
from ..agents import AddRequestTransform, Behavior, Context
from ..models import ModelRequest, ends_round
from .excerpt import estimated_tokens, spoken

LEFT_OUT = "[The beginning of the conversation is left out here: {} messages.]"


class Truncation(Behavior):
    """Keeps requests within `max_tokens`, by leaving out the oldest of the conversation.

    Tokens are estimated, of all messages and tools of the request. The last `keep` messages are never left
    out, nor is the model's last turn with what came of it: a request of these alone may still be too long.
    """

    after = ("Compaction",)
    """What is told by a summary, or shortened, may be short enough."""

    def __init__(self, max_tokens: int, *, keep: int = 10) -> None:
        self._max_tokens = max_tokens
        self._keep = keep
        self.settings = {"max_tokens": max_tokens, "keep": keep}

    def before_inference(self, context: Context) -> AddRequestTransform:
        history = spoken(context.messages)
        return AddRequestTransform(
            partial(truncated, history=history, max_tokens=self._max_tokens, keep=self._keep)
        )


def truncated(request: ModelRequest, *, history: Set[str], max_tokens: int, keep: int) -> ModelRequest:
    """The request without as many of the oldest messages of `history` as it takes to be short enough."""
    excess = estimated_tokens(request.messages) + _tool_tokens(request) - max_tokens
    if excess <= 0:
        return request
    places = [place for place, message in enumerate(request.messages) if message.id in history]
    excess += estimated_tokens([_note(len(places))])
    gone: list[int] = []
    for cut in _cuts(request.messages, places, keep):
        further = places[len(gone) : bisect_left(places, cut)]
        gone += further
        excess -= estimated_tokens([request.messages[place] for place in further])
        if excess <= 0:
            break
    return replace(request, messages=_without(request.messages, gone)) if gone else request


def _cuts(messages: Sequence[Message], places: Sequence[int], keep: int) -> list[int]:
    """Where the conversation may begin: with what no tool's answer, or note to a round, belongs to."""
    turns = [place for place in places if messages[place].role == "assistant"]
    kept = places[max(len(places) - keep, 0) :]
    latest = min([*kept[:1], *turns[-1:]], default=0)
    return [place for place in places[1:] if place <= latest and ends_round(messages[place])]


def _without(messages: Sequence[Message], gone: Sequence[int]) -> list[Message]:
    out = frozenset(gone)
    left = [message for place, message in enumerate(messages) if place not in out]
    return [*left[: gone[0]], _note(len(gone)), *left[gone[0] :]]


def _note(count: int) -> Message:
    # As a user's: providers want such a message before the first of the model's.
    return Message(id="truncated", role="user", content=LEFT_OUT.format(count), visibility="internal")


def _tool_tokens(request: ModelRequest) -> int:
    tools = ([tool.name, tool.description, tool.parameters] for tool in request.tools)
    return sum(len(dumps(tool)) for tool in tools) // 4
