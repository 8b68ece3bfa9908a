"""Truncation: requests that are too long leave out the oldest messages. The log keeps everything.

A round is removed as a whole, the model's turn with its tool results, so that every answer keeps its call.
Instructions, leading system messages, context messages and summaries stay. Truncation calls no model and
stores no state: it depends only on the request.
"""

from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import replace
from functools import partial

from ...store.changeset import Message
from ...store.document import dumps
from ..agents import AddRequestTransform, Behavior, Context
from ..models import ModelRequest, ends_round
from .excerpt import conversation_ids, estimate_tokens

LEFT_OUT = "[The beginning of the conversation is left out here: {} messages.]"


class Truncation(Behavior):
    """Keeps requests within `max_tokens` by removing the oldest messages of the conversation.

    Tokens are estimated for all messages and tools of the request. The last `keep` messages always stay, and
    so does the model's last turn with all that follows it. A request may still be too long with these alone.
    """

    after = ("Compaction",)
    """A request with a summary and previews may be short enough."""

    def __init__(self, max_tokens: int, *, keep: int = 10) -> None:
        self._max_tokens = max_tokens
        self._keep = keep
        self.settings = {"max_tokens": max_tokens, "keep": keep}

    def before_inference(self, context: Context) -> AddRequestTransform:
        history = conversation_ids(context.messages)
        return AddRequestTransform(
            partial(truncate, history=history, max_tokens=self._max_tokens, keep=self._keep)
        )


def truncate(request: ModelRequest, *, history: Set[str], max_tokens: int, keep: int) -> ModelRequest:
    """Return the request without the oldest messages of `history`: as many as needed to be short enough."""
    excess = estimate_tokens(request.messages) + _tool_tokens(request) - max_tokens
    if excess <= 0:
        return request
    places = [place for place, message in enumerate(request.messages) if message.id in history]
    excess += estimate_tokens([_note(len(places))])
    removed: list[int] = []
    for cut in _cuts(request.messages, places, keep):
        next_round = places[len(removed) : bisect_left(places, cut)]
        removed += next_round
        excess -= estimate_tokens([request.messages[place] for place in next_round])
        if excess <= 0:
            break
    return replace(request, messages=_without(request.messages, removed)) if removed else request


def _cuts(messages: Sequence[Message], places: Sequence[int], keep: int) -> list[int]:
    """Return the places where the conversation may begin: never within a round."""
    turns = [place for place in places if messages[place].role == "assistant"]
    kept = places[max(len(places) - keep, 0) :]
    latest = min([*kept[:1], *turns[-1:]], default=0)
    return [place for place in places[1:] if place <= latest and ends_round(messages[place])]


def _without(messages: Sequence[Message], removed: Sequence[int]) -> list[Message]:
    places, first = frozenset(removed), removed[0]
    left = [message for place, message in enumerate(messages) if place not in places]
    return [*left[:first], _note(len(removed)), *left[first:]]


def _note(count: int) -> Message:
    # A user message: providers expect one before the first message of the model.
    return Message(id="truncated", role="user", content=LEFT_OUT.format(count), visibility="internal")


def _tool_tokens(request: ModelRequest) -> int:
    tools = ([tool.name, tool.description, tool.parameters] for tool in request.tools)
    return sum(len(dumps(tool)) for tool in tools) // 4
