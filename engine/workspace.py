"""A run's thread as the run works on it: what is queued for the log, and what waits for the next commit.

    act, say -> waiting -> commit -> queued, in order, behind the version before

State, messages and version are those after everything queued: a commit that fails ends the run, so no
one ever sees them otherwise.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from anyio import get_cancelled_exc_class
from pydantic_core import to_jsonable_python

from ..reducers.reduce import Reducers, Reduction, StateAction
from ..reducers.replay import Thread
from ..store.async_log import Pending
from ..store.changeset import ActionRecord, Changeset, EffectRecord, Message, Reason, TrackedPatch, Usage
from ..store.codec import encoded
from ..store.document import dumps, loads
from ..store.errors import EffectError, in_words
from ..store.state import Head
from .effects import Effects
from .model import Paid, summed

LOOP = "agent_loop"
"""The source of what the loop itself does."""


class Journal(Protocol):
    """Where changesets go: the log behind `await`, or a rehearsal that compares them with a log."""

    def submit(self, changesets: Changeset, expected_version: int, *, behind: Pending | None) -> Pending:
        """Queue an append; the answer is awaited later."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What every changeset of a run carries."""

    run_id: str
    thread_id: str
    epoch: int


class Workspace:
    """The one place from which a run writes."""

    def __init__(
        self, journal: Journal, effects: Effects, reducers: Reducers, identity: RunIdentity, thread: Thread
    ) -> None:
        self.identity = identity
        self.state: Any = thread.state
        self.version = thread.version
        self.messages: list[Message] = list(thread.messages)
        self.at = 0
        """The moment of the last changeset; 0 before the first of this epoch."""
        self.usage = Usage()
        """The tokens that the run has cost so far."""
        self._committed: Any = thread.state
        self._head = Head(document=thread.state).measured()
        self._journal = journal
        self._effects = effects
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

    def new_id(self) -> str:
        """The next id of this epoch, for a message or a changeset: the same whenever the run is repeated."""
        self._ids += 1
        return f"{self.identity.run_id}:{self.identity.epoch}:{self._ids}"

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
    def attempt(self) -> Iterator[None]:
        """Whatever is done inside is undone if it raises; what the world has answered is kept."""
        state, actions, patches, said = self.state, len(self._actions), len(self._patches), self._said
        try:
            yield
        except BaseException:
            self._unsay(self._said - said)
            self.state = state
            del self._actions[actions:], self._patches[patches:]
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
        if self._last:
            await self._last.result()

    def commit(self, reason: Reason, **facts: Any) -> Pending:
        """Queue all that waits as one changeset, with further fields of it.

        Raises:
            ContentError: something in it cannot be kept, or the state would be too large. It still waits.
        """
        at = self._effects.now()
        changeset = Changeset(
            id=self.new_id(),
            thread_id=self.identity.thread_id,
            run_id=self.identity.run_id,
            epoch=self.identity.epoch,
            reason=reason,
            at=at,
            messages=tuple(self.messages[len(self.messages) - self._said :]),
            actions=tuple(self._actions),
            patches=tuple(self._patches),
            effects=tuple(self._asked),
            cut_off=tuple(self._cut_off),
            **facts,
        )
        # Here, not by the writer: what is refused there is refused when the run has gone on.
        self._head = self._head.advanced(encoded(changeset))
        pending = self._journal.submit(changeset, self.version, behind=self._last)
        self._last = pending
        self.version += 1
        self.at = at
        self._actions, self._patches, self._said = [], [], 0
        self._asked, self._cut_off = [], []
        self._committed = self.state
        return pending
