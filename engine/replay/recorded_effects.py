"""The recorded effects of a run, served from the log. Nothing is called, and no timer is started."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

import anyio
import anyio.lowlevel

from ...reducers.tool_call import SuspendToolCall
from ...store.changeset import Attempt, Changeset, Interruption, Message
from ...store.errors import EffectError
from ..agents import AddMessage, Suspend, Tool, ToolAnswer, ToolContext
from ..control import INFERENCE, TOOLS, Mailbox
from ..models import (
    ErrorKind,
    FinishPart,
    Model,
    ModelAnswer,
    ModelError,
    ModelRequest,
    Part,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)
from .recording import Recording, ReplayDiverged


class RecordedEffects:
    """Serves effects from the next changeset of a recording."""

    def __init__(self, recording: Recording, mailbox: Mailbox) -> None:
        self._recording = recording
        self._mailbox = mailbox

    def now(self) -> int:
        return self._recording.next.at

    def clock(self) -> Callable[[], int]:
        return self.now

    def stopwatch(self) -> Callable[[], int]:
        """Measure the model attempt that comes next: a replayed loop measures nothing else."""
        return partial(self._latency, self._recording.attempts_served)

    def _latency(self, number: int) -> int:
        inference = self._recording.next.inference
        if inference is None:
            return 0
        return inference.attempts[number].latency if number < len(inference.attempts) else inference.latency

    def jitter(self, seconds: float, part: float) -> float:
        attempts = self._attempts()
        waited = self._has_more_attempts() or self._recording.is_cancelled_at(INFERENCE)
        if not (attempts and waited):
            return math.inf  # beyond every budget: the recorded run did not wait here
        return attempts[self._recording.attempts_served - 1].wait / 1_000_000

    async def sleep(self, seconds: float) -> None:
        if not self._has_more_attempts():
            raise await self._wait_for_cancel(INFERENCE, "another model attempt")
        await anyio.lowlevel.checkpoint()

    def _has_more_attempts(self) -> bool:
        is_more = self._recording.attempts_served < len(self._attempts())
        return is_more or _turn(self._recording.next) is not None

    def _attempts(self) -> tuple[Attempt, ...]:
        inference = self._recording.next.inference
        return inference.attempts if inference else ()

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        number, effects = self._recording.effects_served, self._recording.next.effects
        if number >= len(effects) or effects[number].name != name:
            raise self._recording.diverge(f"effect {name!r}")
        self._recording.effects_served += 1
        effect = effects[number]
        if effect.cancelled:
            # A scope around this call cancels it: the behavior's own, or the mailbox's.
            await anyio.sleep_forever()
        if effect.error is not None:
            raise EffectError(effect.error)
        return ModelAnswer(effect.answer, effect.usage)

    async def infer(self, model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
        inference = self._recording.next.inference
        if inference is None:
            raise await self._wait_for_cancel(INFERENCE, "a model call")
        number = self._recording.attempts_served
        self._recording.attempts_served += 1
        if number >= len(inference.attempts):
            if not _turn(self._recording.next):
                raise self._recording.diverge("another model attempt")
            for part in _parts(self._recording.next):
                yield part
            return
        attempt = inference.attempts[number]
        if attempt.text:
            yield TextPart(attempt.text)
        if attempt.began_tool_call:
            yield ToolCallDelta("", "")
        if attempt.outcome == "cancelled":
            raise await self._wait_for_cancel(INFERENCE, "a model answer")
        raise ModelError(cast(ErrorKind, attempt.kind), attempt.error or "", attempt.retry_after)

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> ToolAnswer:
        self._recording.running_calls.add(context.call_id)
        # Let the other calls of the round start: one of them may be the next to end.
        await anyio.lowlevel.checkpoint()
        while True:
            ended = next((outcome.call_id for outcome in self._recording.next.tool_calls), None)
            if ended == context.call_id:
                return self._answer(self._recording.next)
            if ended not in self._recording.running_calls:
                raise await self._wait_for_cancel(TOOLS, f"a call to {tool.name!r}")
            await self._recording.advanced.wait()

    def _answer(self, changeset: Changeset) -> ToolAnswer:
        (outcome,) = changeset.tool_calls
        if not outcome.executed:
            raise self._recording.diverge(f"a call to {outcome.name!r}")
        if outcome.outcome == "suspended":
            suspended = ToolAnswer("suspended", outcome.result, suspend=_suspend(changeset))
            return suspended.with_duration(outcome.duration)
        actions = self._recording.actions(changeset, f"tool:{outcome.name}")
        after = next(n for n, m in enumerate(changeset.messages, 1) if m.role == "tool")
        messages = [_to_action(m) for m in changeset.messages[after : after + outcome.message_count]]
        answer = ToolAnswer(outcome.outcome, outcome.result, actions, messages)
        return answer.with_duration(outcome.duration)

    async def _wait_for_cancel(self, wait: Interruption, now: str) -> ReplayDiverged:
        """Cancel the run if it was cancelled during this wait. Otherwise return the divergence."""
        if not self._recording.is_cancelled_at(wait):
            return self._recording.diverge(now)
        self._mailbox.cancel()
        await anyio.sleep_forever()
        raise AssertionError

    def new_id(self) -> str:
        raise AssertionError("a loop takes its ids from the workspace")


def _turn(changeset: Changeset) -> Message | None:
    return next((message for message in changeset.messages if message.role == "assistant"), None)


def _parts(changeset: Changeset) -> Iterator[Part]:
    """Yield the parts of the model's answer in a changeset."""
    message, inference = _turn(changeset), changeset.inference
    assert message
    assert inference
    if message.content:
        yield TextPart(message.content)
    for call in message.tool_calls:
        yield ToolCallPart(call)
    yield FinishPart(inference.finish_reason, inference.usage, message.provider)


def _suspend(changeset: Changeset) -> Suspend:
    payloads = [r.payload for r in changeset.actions if r.action == SuspendToolCall.__name__]
    found = SuspendToolCall.model_validate(payloads[0]).suspension
    return Suspend(found.action, found.message, found.parameters, found.resume_mode, found.response_schema)


def _to_action(message: Message) -> AddMessage:
    return AddMessage(message.content, "user" if message.role == "user" else "system", message.visibility)
