"""The world as a recorded run saw it, served from the log. No timer is started and nothing is called."""

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
    """Answers from the next changeset of a recording."""

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
        return (
            attempts[self._recording.attempts_served - 1].wait / 1_000_000
            if attempts and waited
            else math.inf
        )

    async def sleep(self, seconds: float) -> None:
        if not self._has_more_attempts():
            raise await self._cancelled(INFERENCE, "another attempt")
        await anyio.lowlevel.checkpoint()

    def _has_more_attempts(self) -> bool:
        is_more = self._recording.attempts_served < len(self._attempts())
        return is_more or _turn(self._recording.next) is not None

    def _attempts(self) -> tuple[Attempt, ...]:
        inference = self._recording.next.inference
        return inference.attempts if inference else ()

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        effects = self._recording.next.effects
        if (
            self._recording.effects_served >= len(effects)
            or effects[self._recording.effects_served].name != name
        ):
            raise self._recording.diverge(f"a question {name!r}")
        self._recording.effects_served += 1
        asked = effects[self._recording.effects_served - 1]
        if asked.cancelled:
            # By the scope in which it is awaited: the behavior's own, or the one that cuts it off.
            await anyio.sleep_forever()
        if asked.error is not None:
            raise EffectError(asked.error)
        return ModelAnswer(asked.answer, asked.usage)

    async def infer(self, model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
        inference = self._recording.next.inference
        if inference is None:
            raise await self._cancelled(INFERENCE, "an inference")
        place, self._recording.attempts_served = (
            self._recording.attempts_served,
            self._recording.attempts_served + 1,
        )
        if place >= len(inference.attempts):
            if not _turn(self._recording.next):
                raise self._recording.diverge("another attempt")
            for part in _parts(self._recording.next):
                yield part
            return
        attempt = inference.attempts[place]
        if attempt.text:
            yield TextPart(attempt.text)
        if attempt.began_tool_call:
            yield ToolCallDelta("", "")
        if attempt.outcome == "cancelled":
            raise await self._cancelled(INFERENCE, "an answer")
        raise ModelError(cast(ErrorKind, attempt.kind), attempt.error or "", attempt.retry_after)

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> ToolAnswer:
        self._recording.running_calls.add(context.call_id)
        # The other calls of the round begin first: one of them may be the one that ends next.
        await anyio.lowlevel.checkpoint()
        while True:
            ended = next((outcome.call_id for outcome in self._recording.next.tool_calls), None)
            if ended == context.call_id:
                return self._answer(self._recording.next)
            if ended not in self._recording.running_calls:
                raise await self._cancelled(TOOLS, f"a call of {tool.name!r}")
            await self._recording.advanced.wait()

    def _answer(self, changeset: Changeset) -> ToolAnswer:
        (outcome,) = changeset.tool_calls
        if not outcome.executed:
            raise self._recording.diverge(f"a call of {outcome.name!r}")
        if outcome.outcome == "suspended":
            suspended = ToolAnswer("suspended", outcome.result, suspend=_suspend(changeset))
            return suspended.with_duration(outcome.duration)
        actions = self._recording.actions(changeset, f"tool:{outcome.name}")
        behind = next(n for n, m in enumerate(changeset.messages, 1) if m.role == "tool")
        messages = [_added(m) for m in changeset.messages[behind : behind + outcome.message_count]]
        answer = ToolAnswer(outcome.outcome, outcome.result, actions, messages)
        return answer.with_duration(outcome.duration)

    async def _cancelled(self, wait: Interruption, now: str) -> ReplayDiverged:
        """Wait to be cancelled, if the run was cancelled here; otherwise this is where it diverges."""
        if not self._recording.is_cancelled_at(wait):
            return self._recording.diverge(now)
        self._mailbox.cancel()
        await anyio.sleep_forever()
        raise AssertionError

    def new_id(self) -> str:
        raise AssertionError("an epoch makes no ids of its own")


def _turn(changeset: Changeset) -> Message | None:
    return next((message for message in changeset.messages if message.role == "assistant"), None)


def _parts(changeset: Changeset) -> Iterator[Part]:
    """The turn that a changeset holds, as the model gave it."""
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
    asked = SuspendToolCall.model_validate(payloads[0]).suspension
    return Suspend(asked.action, asked.message, asked.parameters, asked.resume_mode, asked.response_schema)


def _added(message: Message) -> AddMessage:
    return AddMessage(message.content, "user" if message.role == "user" else "system", message.visibility)
