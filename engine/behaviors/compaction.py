"""Compaction: a summary replaces the older part of a long conversation in requests. The log keeps everything.

If a conversation is too long, large results of settled calls become previews. If it is still too long, a
model writes a summary, and the boundary moves. A summary never separates a tool call from its answer. It
never covers a call that waits for a person, or a message that the model has not answered yet.

Writing the summary is an effect, so a replay reads it from the log. If no model writes one, the request is
sent without a new summary.
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
from ..models import Collector, Model, ModelAnswer, ModelRequest, ProviderModel
from .excerpt import (
    Boundary,
    Excerpt,
    estimate_tokens,
    insert_summary,
    shorten_messages,
    shorten_request,
    transcript,
)

COMPACTION = "/__context"
SUMMARY_TOKENS = 1024
"""The maximum length of a summary."""

INSTRUCTIONS = (
    "Summarize the following conversation for a reader who will continue it without seeing it. Include what "
    "the user wants, which decisions were made and why, what was found out (with important names, numbers "
    "and paths), and what remains to be done. Write only the summary."
)


class CompactionState(BaseModel):
    """The boundary of a thread: up to where a summary replaces the conversation, if there is one."""

    boundary: Boundary | None = None


class MoveBoundary(Action):
    """Replace more of the conversation by a summary."""

    boundary: Boundary


def _reduce(slice: CompactionState, action: MoveBoundary) -> CompactionState:
    return CompactionState(boundary=action.boundary)


COMPACTION_REDUCER = Reducer(
    "compaction", CompactionState, (MoveBoundary,), COMPACTION, "thread", _reduce, reserved=True
)


class Compaction(Behavior):
    """Keeps requests short. `model` writes a summary of the older part of the conversation.

    `threshold` is a number of tokens, estimated for the conversation alone, without instructions and tools.
    The last `keep` messages stay unchanged, and so does the model's last turn with all that follows it. No
    summary is written that would replace fewer than `min_gain` tokens. A tool result is large from
    `large_result` tokens.
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
            large = excerpt.large_result_ids(self._large_result)
        if self._is_too_long(excerpt, large) and (moved := await self._summarize(context, excerpt, large)):
            actions.append(State(MoveBoundary(boundary=moved)))
            excerpt = replace(excerpt, boundary=moved)
        if excerpt.boundary and (hidden := excerpt.hidden_ids()):
            transform = partial(insert_summary, hidden=hidden, boundary=excerpt.boundary)
            actions.append(AddRequestTransform(transform))
        if large:
            actions.append(AddRequestTransform(partial(shorten_request, large=large)))
        return actions

    def _excerpt(self, context: Context) -> Excerpt:
        messages = context.messages
        last_turn = max((n for n, m in enumerate(messages) if m.role == "assistant"), default=0)
        settled = max(min(len(messages) - self._keep, last_turn), 0)
        boundary = CompactionState.model_validate(context.read(COMPACTION, {})).boundary
        return Excerpt(messages, boundary, settled)

    def _is_too_long(self, excerpt: Excerpt, large: Set[str]) -> bool:
        return estimate_tokens(shorten_messages(excerpt.visible(), large)) > self._threshold

    async def _summarize(self, context: Context, excerpt: Excerpt, large: Set[str]) -> Boundary | None:
        """Return a later boundary with its summary; None if it saves too little or no model writes one."""
        cut = excerpt.frontier(_waiting_calls(context))
        if estimate_tokens(excerpt.messages[excerpt.covered_count : cut]) < max(self._min_gain, 1):
            return None
        summarized = excerpt.visible_before(cut)
        try:
            answer = await context.effect("summary", partial(self._ask, shorten_messages(summarized, large)))
        except EffectError:
            return None  # the error is in the log; the request is sent without a new one
        if not answer:
            return None
        return Boundary(
            covers_through_message_id=excerpt.messages[cut - 1].id,
            summary=answer,
            original_tokens=estimate_tokens(summarized),
        )

    async def _ask(self, messages: list[Message]) -> ModelAnswer:
        """Return the model's summary and its token usage."""
        model = ProviderModel(self._model) if isinstance(self._model, str) else self._model
        collector = Collector()
        async for part in model.stream(_request(messages)):
            collector.add(part)
        turn = collector.turn()
        return ModelAnswer(turn.text.strip(), turn.usage)


def _waiting_calls(context: Context) -> frozenset[str]:
    """Return the ids of the calls that wait for a decision, or resume after one."""
    records = calls({TOOL_CALLS.removeprefix("/"): context.read(TOOL_CALLS, {})})
    return frozenset(call.call_id for call in records if call.status in ("suspended", "resuming"))


def _request(messages: list[Message]) -> ModelRequest:
    prompt = [
        Message(id="instructions", role="system", content=INSTRUCTIONS),
        Message(id="transcript", role="user", content=transcript(messages)),
    ]
    return ModelRequest(prompt, settings={"max_tokens": SUMMARY_TOKENS})
