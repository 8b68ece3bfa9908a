"""An epoch of a run as the log has it: the world that it saw, served again, and the journal that it wrote."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, cast

import anyio
import anyio.lowlevel

from ...reducers.reduce import Reducers, StateAction
from ...reducers.reducer import Action
from ...reducers.run import ControlTaken, RunMoved
from ...reducers.tool_call import ToolCallSuspended
from ...store.async_log import Pending
from ...store.changeset import Changeset, ControlEntry, Message
from ...store.errors import EffectError, LogError
from ..agents import AddMessage, Suspend, Tool, ToolAnswer, ToolContext
from ..commit import LOOP, Behind, Effects, Workspace
from ..control import Control, Place
from ..models import (
    ErrorKind,
    FinishPart,
    Model,
    ModelError,
    ModelRequest,
    Paid,
    Part,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)
from .divergence import Diverged, difference

ENDED_BY_OTHERS = ("superseded", "recovered")
"""What somebody else has written: it is not compared, and the loop never came to an end of its own."""


class CutOff(LogError):
    """The log has no more of an epoch that somebody else has ended."""


class Record(Effects):
    """An epoch of a run as the log has it: the world that it saw, and the journal that it wrote."""

    def __init__(
        self, changesets: Sequence[Changeset], wanted: Sequence[Changeset], reducers: Reducers
    ) -> None:
        self.control = RecordedControl(self, wanted)
        self.divergence: Diverged | None = None
        self.work: Workspace | None = None
        """Where the run is executed again: how far it is on the way to the next changeset."""
        # There may be two: one that was recovered to wait for a person may be superseded as it waits.
        own = takewhile(lambda each: each.reason not in ENDED_BY_OTHERS, changesets)
        self._changesets = list(own)
        self._is_cut_off = len(self._changesets) < len(changesets)
        self._reducers = reducers
        self._written = 0
        self._called: set[str] = set()
        """The tool calls that have begun and are not in a changeset yet."""
        self._asked = 0
        self._attempts = 0
        self._moved = anyio.Event()

    @property
    def next(self) -> Changeset:
        """The changeset that the loop must write next.

        Raises:
            Diverged: the log has no more.
        """
        if self._written < len(self._changesets):
            return self._changesets[self._written]
        if self._is_cut_off:
            raise CutOff
        last = self._changesets[-1]
        raise Diverged(last.thread_id, last.version, "", "the end of the run", "something more")

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        """Compare what the loop writes with what the log has.

        Raises:
            Diverged: it is not the same.
        """
        if self.divergence is None:
            self.divergence = difference(self.next, changeset, behind.version)
        if self.divergence:
            raise self.divergence
        self._called -= {outcome.call_id for outcome in self.next.tool_calls}
        self._written += 1
        self._asked = self._attempts = 0
        self._moved.set()
        self._moved = anyio.Event()
        return Pending.answered(behind.version + 1)

    def missing(self) -> Diverged | None:
        """What the log has and the loop did not write, if anything."""
        if self._written == len(self._changesets):
            return None
        return self.otherwise("the end of the run")

    def otherwise(self, now: str) -> Diverged:
        """Today's code wants something that the log does not have here. What it does then is not compared."""
        if self.divergence is None:
            one = self.next
            self.divergence = Diverged(one.thread_id, one.version, "/reason", one.reason, now)
        return self.divergence

    def now(self) -> int:
        return self.next.at

    def clock(self) -> Callable[[], int]:
        return self.now

    def mark(self, what: str) -> int:
        return 0

    def since(self, what: str, mark: int) -> int:
        if not what.startswith("inference:"):
            return next((o.duration for o in self.next.tool_calls if o.call_id == what), 0)
        place, inference = int(what.rsplit(":", 1)[1]), self.next.inference
        if inference is None:
            return 0
        return inference.attempts[place].latency if place < len(inference.attempts) else inference.latency

    def jittered(self, seconds: float, part: float) -> float:
        attempts = self.next.inference.attempts if self.next.inference else ()
        waited = self._has_more_attempts() or self.is_cancelled_at("inference")
        return attempts[self._attempts - 1].wait / 1_000_000 if attempts and waited else math.inf

    async def sleep(self, seconds: float) -> None:
        if not self._has_more_attempts():
            raise await self._cancelled("inference", "another attempt")
        await anyio.lowlevel.checkpoint()

    def _has_more_attempts(self) -> bool:
        attempts = self.next.inference.attempts if self.next.inference else ()
        return self._attempts < len(attempts) or _turn(self.next) is not None

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        effects = self.next.effects
        if self._asked >= len(effects) or effects[self._asked].name != name:
            raise self.otherwise(f"a question {name!r}")
        self._asked += 1
        asked = effects[self._asked - 1]
        if asked.cancelled:
            # By the scope in which it is awaited: the behavior's own, or the one that cuts it off.
            await anyio.sleep_forever()
        if asked.error is not None:
            raise EffectError(asked.error)
        return Paid(asked.answer, asked.usage)

    async def infer(self, model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
        inference = self.next.inference
        if inference is None:
            raise await self._cancelled("inference", "an inference")
        place, self._attempts = self._attempts, self._attempts + 1
        if place >= len(inference.attempts):
            if not _turn(self.next):
                raise self.otherwise("another attempt")
            for part in _parts(self.next):
                yield part
            return
        attempt = inference.attempts[place]
        if attempt.text:
            yield TextPart(attempt.text)
        if attempt.called:
            yield ToolCallDelta("", "")
        if attempt.outcome == "cancelled":
            raise await self._cancelled("inference", "an answer")
        raise ModelError(cast(ErrorKind, attempt.kind), attempt.error or "", attempt.retry_after)

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> ToolAnswer:
        self._called.add(context.call_id)
        # The other calls of the round begin first: one of them may be the one that ends next.
        await anyio.lowlevel.checkpoint()
        while True:
            ended = next((outcome.call_id for outcome in self.next.tool_calls), None)
            if ended == context.call_id:
                return self._answer(self.next)
            if ended not in self._called:
                raise await self._cancelled("tools", f"a call of {tool.name!r}")
            await self._moved.wait()

    def _answer(self, changeset: Changeset) -> ToolAnswer:
        (outcome,) = changeset.tool_calls
        if not outcome.called:
            raise self.otherwise(f"a call of {outcome.name!r}")
        if outcome.outcome == "suspended":
            return ToolAnswer("suspended", outcome.result, suspend=_suspend(changeset))
        source = f"tool:{outcome.name}"
        actions = [self._reducers.action(record) for record in changeset.actions if record.source == source]
        behind = next(n for n, m in enumerate(changeset.messages, 1) if m.role == "tool")
        messages = [_added(m) for m in changeset.messages[behind : behind + outcome.said]]
        return ToolAnswer(outcome.outcome, outcome.result, actions, messages)

    async def _cancelled(self, where: str, now: str) -> Diverged:
        """Wait to be cancelled, if the run was cancelled here; else this is where it goes another way."""
        if not self.is_cancelled_at(where):
            return self.otherwise(now)
        self.control.cancel()
        await anyio.sleep_forever()
        raise AssertionError

    def is_cancelled_at(self, where: str | None) -> bool:
        """Whether the log says that the run was cancelled now, while it waited for `where`."""
        termination = self.next.run.termination if self.next.run else None
        return bool(termination and termination.type == "cancelled" and termination.detail == where)

    def taken(self, place: Place) -> int | None:
        """Up to where what was wanted was taken in just now: the next changeset has it behind all so far."""
        action = self._action()
        return action.through if isinstance(action, ControlTaken) and action.place == place else None

    def is_at(self, kind: type[Action]) -> bool:
        """Whether the loop's next action is of a kind."""
        return isinstance(self._action(), kind)

    def _action(self) -> StateAction | None:
        """What the next changeset has behind all that was done so far, if the loop did it."""
        behind = self.next.actions[self.work.waiting if self.work else 0 :]
        return self._reducers.action(behind[0]) if behind and behind[0].source == LOOP else None


class RecordedControl(Control):
    """What was wanted of the run, and its cancellation, where the log has them."""

    def __init__(self, record: Record, wanted: Sequence[Changeset]) -> None:
        super().__init__()
        self._record = record
        self._wanted = wanted

    def should_stop(self) -> bool:
        return self._record.is_cancelled_at(None) and self._record.is_at(RunMoved)

    def entries(self, after: int, place: Place) -> list[tuple[int, ControlEntry]]:
        through = self._record.taken(place)
        wanted = self._wanted[after:through] if through else ()
        return [(each.version, each.entry) for each in wanted if each.entry]

    def _is_over(self, where: str, *, outlasts: bool) -> bool:
        return where in self._record.next.cut_off or super()._is_over(where, outlasts=outlasts)


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
    payloads = [r.payload for r in changeset.actions if r.action == ToolCallSuspended.__name__]
    asked = ToolCallSuspended.model_validate(payloads[0]).suspension
    return Suspend(asked.action, asked.message, asked.parameters, asked.resume_mode, asked.response_schema)


def _added(message: Message) -> AddMessage:
    return AddMessage(message.content, "user" if message.role == "user" else "system", message.visibility)
