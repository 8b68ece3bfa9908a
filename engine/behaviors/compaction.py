"""Compaction: the model is told of a long conversation's older part by a summary. The log keeps it all.

When a conversation is too long, large results of settled calls are shortened first; when that is not enough
a model is asked for a summary, and the boundary moves. It never parts a tool call from its answer, nor
covers a call that waits for a person, nor what the model has not answered to yet.

The question and its answer are an effect: a replay serves it. When there is no summary to be had the
request goes out as it is.
"""

from collections.abc import Set
from dataclasses import replace
from functools import partial

from pydantic import BaseModel

from ...reducers.reducer import Action, Reducer
from ...reducers.scope import TOOL_CALLS
from ...reducers.tool_call import calls
from ...store.changeset import Message
from ...store.errors import EffectError
from ..agents import AddRequestTransform, Behavior, Context, PhaseAction, State
from ..models import Collector, Model, ModelRequest, Paid, ProviderModel
from .excerpt import Boundary, Excerpt, covered, estimated_tokens, previewed, shortened, transcript

COMPACTION = "/__context"
SUMMARY_TOKENS = 1024
"""How long a summary may be."""

INSTRUCTIONS = (
    "Summarize the conversation that you are given, for somebody who has to go on with it and cannot read "
    "it: what the user wants, what was decided and why, what was found out, with the names, numbers and "
    "paths that matter, and what is still to be done. Write nothing but the summary."
)


class Compacted(BaseModel):
    """How much of a thread's conversation is told by a summary; nothing without a boundary."""

    boundary: Boundary | None = None


class MoveBoundary(Action):
    """Tell more of the conversation by a summary."""

    boundary: Boundary


def _reduce(slice: Compacted, action: MoveBoundary) -> Compacted:
    return Compacted(boundary=action.boundary)


COMPACTION_REDUCER = Reducer(
    "compaction", Compacted, (MoveBoundary,), COMPACTION, "thread", _reduce, reserved=True
)


class Compaction(Behavior):
    """Keeps requests short, by a summary of the conversation's older part that `model` writes.

    Tokens are estimated, of the conversation alone: instructions and tools come on top of `threshold`. The
    last `keep` messages are shown as they are, and so is the model's last turn with what came of it. A
    summary that would stand for fewer than `min_gain` tokens is not made. Tool results of `large_result`
    tokens are large.
    """

    reducers = (COMPACTION_REDUCER,)

    def __init__(
        self,
        model: Model | str,
        *,
        threshold: int = 100_000,
        keep: int = 10,
        min_gain: int = 1024,
        large_result: int = 2048,
    ) -> None:
        self._model = model
        self._threshold = threshold
        self._keep = keep
        self._min_gain = min_gain
        self._large_result = large_result
        self.settings = {
            "model": model if isinstance(model, str) else model.name,
            "threshold": threshold,
            "keep": keep,
            "min_gain": min_gain,
            "large_result": large_result,
        }

    async def before_inference(self, context: Context) -> list[PhaseAction]:
        actions: list[PhaseAction] = []
        excerpt, large = self._excerpt(context), frozenset[str]()
        if self._is_too_long(excerpt, large):
            large = excerpt.large(self._large_result)
        if self._is_too_long(excerpt, large) and (further := await self._further(context, excerpt, large)):
            actions.append(State(MoveBoundary(boundary=further)))
            excerpt = replace(excerpt, boundary=further)
        if excerpt.boundary and (hidden := excerpt.hidden()):
            actions.append(AddRequestTransform(partial(covered, hidden=hidden, boundary=excerpt.boundary)))
        if large:
            actions.append(AddRequestTransform(partial(shortened, large=large)))
        return actions

    def _excerpt(self, context: Context) -> Excerpt:
        messages = context.messages
        last_turn = max((n for n, m in enumerate(messages) if m.role == "assistant"), default=0)
        settled = max(min(len(messages) - self._keep, last_turn), 0)
        boundary = Compacted.model_validate(context.read(COMPACTION, {})).boundary
        return Excerpt(messages, boundary, settled)

    def _is_too_long(self, excerpt: Excerpt, large: Set[str]) -> bool:
        return estimated_tokens(previewed(excerpt.shown(), large)) > self._threshold

    async def _further(self, context: Context, excerpt: Excerpt, large: Set[str]) -> Boundary | None:
        """A boundary further on: if there is a place for it, enough is gained, and a summary is given."""
        cut = excerpt.frontier(_waiting(context))
        if estimated_tokens(excerpt.messages[excerpt.covered : cut]) < max(self._min_gain, 1):
            return None
        told = excerpt.before(cut)
        try:
            answer = await context.effect("summary", partial(self._ask, previewed(told, large)))
        except EffectError:
            return None  # the log has it; the run goes on without a summary
        if not answer:
            return None
        return Boundary(
            covers_through_message_id=excerpt.messages[cut - 1].id,
            summary=answer,
            original_tokens=estimated_tokens(told),
        )

    async def _ask(self, told: list[Message]) -> Paid:
        """The model's summary, and what it cost."""
        model = ProviderModel(self._model) if isinstance(self._model, str) else self._model
        collector = Collector()
        async for part in model.stream(_request(told)):
            collector.add(part)
        turn = collector.turn()
        return Paid(turn.text.strip(), turn.usage)


def _waiting(context: Context) -> frozenset[str]:
    """The calls that a person has to decide about, or that go on because one has."""
    records = calls({TOOL_CALLS.removeprefix("/"): context.read(TOOL_CALLS, {})})
    return frozenset(call.call_id for call in records if call.status in ("suspended", "resuming"))


def _request(told: list[Message]) -> ModelRequest:
    messages = [
        Message(id="instructions", role="system", content=INSTRUCTIONS),
        Message(id="transcript", role="user", content=transcript(told)),
    ]
    return ModelRequest(messages, settings={"max_tokens": SUMMARY_TOKENS})
