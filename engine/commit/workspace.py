"""A run's thread as the run works on it: what is queued for the log, and what waits for the next commit.

    act, say -> waiting -> commit -> queued, in order, behind the version before

State, messages and version are those after everything queued: a commit that fails ends the run, so no
one ever sees them otherwise.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from anyio import get_cancelled_exc_class
from pydantic_core import to_jsonable_python

from ...reducers.reduce import Reducers, Reduction, StateAction
from ...reducers.replay import Thread
from ...reducers.run import control_taken
from ...reducers.usage import summed
from ...store.async_log import Pending
from ...store.changeset import (
    ActionRecord,
    Changeset,
    EffectRecord,
    Message,
    Reason,
    TrackedPatch,
    Usage,
    control_stream,
)
from ...store.codec import encoded
from ...store.document import dumps, loads
from ...store.errors import EffectError, in_words
from ...store.state import Head
from ..models import Paid
from .effects import Effects
from .journal import Behind, Condition, Journal

LOOP = "agent_loop"
"""The source of what the loop itself does."""

GIVEN = "given"
"""The source of what a run begins with."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What every changeset of a run carries."""

    run_id: str
    thread_id: str
    epoch: int

    parent_run_id: str | None = None

    @property
    def stream(self) -> str:
        """Where it is said what is wanted of the run."""
        return control_stream(self.run_id)


class Workspace:
    """The one place from which a run writes."""

    def __init__(
        self,
        journal: Journal,
        effects: Effects,
        reducers: Reducers,
        identity: RunIdentity,
        thread: Thread,
        author: str | None = None,
    ) -> None:
        """`author` is who writes, if it is not the run's loop: its ids are no others."""
        self.identity = identity
        self._author = ":".join(filter(None, [identity.run_id, str(identity.epoch), author]))
        self.state: Any = thread.state
        self.version = thread.version
        self.messages: list[Message] = list(thread.messages)
        self.at = 0
        """The moment of the last changeset; 0 before the first of this epoch."""
        self.usage = Usage()
        """The tokens that the run has cost so far."""
        self._committed: Any = thread.state
        self._taken = control_taken(thread.state, identity.run_id)
        """Up to where the control stream was taken in by the changesets so far."""
        self._head = Head(document=thread.state).measured()
        self._journal = journal
        self._effects = effects
        self._now = effects.clock()
        self._reducers = reducers
        self._known = {message.id for message in thread.messages}
        self._last: Pending | None = None
        self._ids = 0
        self._actions: list[ActionRecord] = []
        self._patches: list[TrackedPatch] = []
        self._asked: list[EffectRecord] = []
        self._cut_off: list[str] = []
        self._said = 0
        """How many of the messages wait for the next commit."""

    @property
    def is_open(self) -> bool:
        """Whether this epoch has begun in the log."""
        return self.at > 0

    @property
    def waiting(self) -> int:
        """How many actions wait for the next commit."""
        return len(self._actions)

    def control_taken(self) -> int:
        """Up to which version of its control stream the run has taken in what is there."""
        return control_taken(self.state, self.identity.run_id)

    def new_id(self) -> str:
        """The next id of this epoch, for a message or a changeset: the same whenever the run is repeated."""
        self._ids += 1
        return f"{self._author}:{self._ids}"

    def act(self, actions: Iterable[StateAction], *, source: str, call_id: str | None = None) -> Reduction:
        """Change the state by actions, all or none.

        Raises:
            ActionError: one of them is not understood, or does not fit the state.
        """
        records = [self._reducers.record(action, source=source, call_id=call_id) for action in actions]
        reduction = self._reducers.reduce(self.state, records, first=len(self._actions))
        self.state = reduction.state
        self._actions.extend(reduction.actions)
        self._patches.extend(reduction.patches)
        return reduction

    def say(self, message: Message) -> None:
        """Put a message into the conversation; one whose id is there already is skipped."""
        if message.id not in self._known:
            self._known.add(message.id)
            self.messages.append(message)
            self._said += 1

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the world for a behavior. The answer, made JSON, goes into the log with the next commit.

        Raises:
            EffectError: there was none, or it cannot be kept. That is in the log, too.
        """
        try:
            given = await self._effects.ask(name, call)
            paid = given if isinstance(given, Paid) else Paid(given, Usage())
            answer = loads(dumps(to_jsonable_python(paid.answer)))
        except get_cancelled_exc_class():
            self._asked.append(EffectRecord(name=name, cancelled=True))
            raise
        except Exception as err:
            self._asked.append(EffectRecord(name=name, error=in_words(err)))
            raise EffectError(in_words(err)) from err
        self._asked.append(EffectRecord(name=name, answer=answer, usage=paid.usage))
        self.pay(paid.usage)
        return answer

    def pay(self, usage: Usage) -> None:
        """Count tokens as the run's."""
        self.usage = summed(self.usage, usage)

    def cut_off(self, behavior: str) -> None:
        """A behavior is not waited for any more: that goes into the log with the next commit."""
        self._cut_off.append(behavior)

    @contextmanager
    def attempt(self, *, is_whole: bool = False) -> Iterator[None]:
        """Whatever is done inside is undone if it raises; what the world has answered is kept.

        Not if it `is_whole`: then it is as if it had never been tried.
        """
        state, actions, patches, said = self.state, len(self._actions), len(self._patches), self._said
        ids, asked, cut_off, usage = self._ids, len(self._asked), len(self._cut_off), self.usage
        try:
            yield
        except BaseException:
            self._unsay(self._said - said)
            self.state = state
            del self._actions[actions:], self._patches[patches:]
            if is_whole:
                self._ids, self.usage = ids, usage
                del self._asked[asked:], self._cut_off[cut_off:]
            raise

    def discard(self) -> None:
        """Forget all that waits."""
        self._unsay(self._said)
        self.state = self._committed
        self._actions, self._patches, self._asked, self._cut_off = [], [], [], []

    def _unsay(self, count: int) -> None:
        for _ in range(count):
            self._known.discard(self.messages.pop().id)
        self._said -= count

    async def settled(self, reason: Reason) -> None:
        """Return once all that was done is durable; what waits is committed for the reason.

        Raises:
            ContentError: as `commit`.
            LogError: a commit failed.
        """
        if self._actions or self._asked or self._said:
            self.commit(reason)
        await self.durable()

    async def durable(self) -> None:
        """Return once all that was committed is durable; what waits still does.

        Raises:
            LogError: a commit failed.
        """
        if self._last:
            await self._last.result()

    def commit(self, reason: Reason, **facts: Any) -> Pending:
        """Queue all that waits as one changeset, with further fields of it.

        Raises:
            ContentError: something in it cannot be kept, or the state would be too large. It still waits.
        """
        changeset, head = self._next(reason, facts)
        pending = self._journal.submit(changeset, Behind(self.version, self._last))
        self._advance(changeset, head, pending)
        return pending

    async def commit_end(self, reason: Reason, **facts: Any) -> None:
        """Write all that waits as the last changeset of this epoch: durable on return.

        Raises:
            ContentError: as `commit`.
            VersionConflict: of the run's control stream: it holds what the run has not taken in. Nothing
                was written, and all still waits.
            LogError: it cannot be written.
        """
        changeset, head = self._next(reason, facts)
        condition = Condition({self.identity.stream: self.control_taken()})
        pending = self._journal.submit(changeset, Behind(self.version, self._last, condition))
        await pending.result()
        self._advance(changeset, head, pending)

    def _next(self, reason: Reason, facts: dict[str, Any]) -> tuple[Changeset, Head]:
        """The changeset that holds all that waits, and the thread's head behind it."""
        taken = self.control_taken()
        changeset = Changeset(
            id=self.new_id(),
            thread_id=self.identity.thread_id,
            run_id=self.identity.run_id,
            parent_run_id=self.identity.parent_run_id,
            epoch=self.identity.epoch,
            reason=reason,
            at=self._now(),
            messages=tuple(self.messages[len(self.messages) - self._said :]),
            actions=tuple(self._actions),
            patches=tuple(self._patches),
            effects=tuple(self._asked),
            cut_off=tuple(self._cut_off),
            control=None if taken == self._taken else taken,
            **facts,
        )
        # Here, not by the writer: what is refused there is refused when the run has gone on.
        return changeset, self._head.advanced(encoded(changeset))

    def _advance(self, changeset: Changeset, head: Head, pending: Pending) -> None:
        self._head, self._last, self.at = head, pending, changeset.at
        self.version += 1
        self._actions, self._patches, self._said = [], [], 0
        self._asked, self._cut_off = [], []
        self._committed = self.state
        self._taken = self.control_taken()
