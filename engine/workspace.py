"""A run's thread as the run works on it: what is queued for the log, and what waits for the next commit.

    act, say -> waiting -> commit -> queued, in order, behind the version before

State, messages and version are those after everything queued: a commit that fails ends the run, so no
one ever sees them otherwise.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..reducers.reduce import Reducers, StateAction
from ..reducers.replay import Thread
from ..store.async_log import AsyncLog, Pending
from ..store.changeset import ActionRecord, Changeset, Message, Reason, TrackedPatch
from .effects import Effects


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What every changeset of a run carries."""

    run_id: str
    thread_id: str
    epoch: int


class Workspace:
    """The one place from which a run writes."""

    def __init__(
        self, log: AsyncLog, effects: Effects, reducers: Reducers, identity: RunIdentity, thread: Thread
    ) -> None:
        self.identity = identity
        self.state: Any = thread.state
        self._committed: Any = thread.state
        self.version = thread.version
        self.messages: list[Message] = list(thread.messages)
        self._log = log
        self._effects = effects
        self._reducers = reducers
        self._last: Pending | None = None
        self._ids = 0
        self._actions: list[ActionRecord] = []
        self._patches: list[TrackedPatch] = []
        self._said = 0
        """How many of the messages wait for the next commit."""

    def new_id(self) -> str:
        """The next id of this epoch, for a message or a changeset: the same whenever the run is repeated."""
        self._ids += 1
        return f"{self.identity.run_id}:{self.identity.epoch}:{self._ids}"

    def act(self, actions: Iterable[StateAction], *, source: str, call_id: str | None = None) -> None:
        """Change the state by actions, all or none.

        Raises:
            ActionError: one of them is not understood, or does not fit the state.
        """
        records = [self._reducers.record(action, source=source, call_id=call_id) for action in actions]
        reduction = self._reducers.reduce(self.state, records, first=len(self._actions))
        self.state = reduction.state
        self._actions.extend(reduction.actions)
        self._patches.extend(reduction.patches)

    def say(self, message: Message) -> None:
        """Put a message into the conversation; one whose id is there already is skipped."""
        if all(message.id != earlier.id for earlier in self.messages):
            self.messages.append(message)
            self._said += 1

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Whatever is done inside is undone if it raises."""
        state, actions, patches, said = self.state, len(self._actions), len(self._patches), self._said
        try:
            yield
        except BaseException:
            del self.messages[len(self.messages) - (self._said - said) :]
            self.state, self._said = state, said
            del self._actions[actions:], self._patches[patches:]
            raise

    def discard(self) -> None:
        """Forget all that waits."""
        self.state = self._committed
        del self.messages[len(self.messages) - self._said :]
        self._actions, self._patches, self._said = [], [], 0

    def commit(self, reason: Reason, **facts: Any) -> Pending:
        """Queue all that waits as one changeset, with further fields of it.

        Raises:
            ContentError: something in it cannot be kept. It still waits.
        """
        changeset = Changeset(
            id=self.new_id(),
            thread_id=self.identity.thread_id,
            run_id=self.identity.run_id,
            epoch=self.identity.epoch,
            reason=reason,
            at=self._effects.now(),
            messages=tuple(self.messages[len(self.messages) - self._said :]),
            actions=tuple(self._actions),
            patches=tuple(self._patches),
            **facts,
        )
        pending = self._log.submit(changeset, self.version, behind=self._last)
        self._last = pending
        self.version += 1
        self._actions, self._patches, self._said = [], [], 0
        self._committed = self.state
        return pending
