"""A recorded epoch as a journal: what today's code writes is compared with what the log has."""

from collections.abc import Sequence
from itertools import takewhile

import anyio

from ...reducers.check import Divergence
from ...reducers.reduce import Reducers, StateAction
from ...reducers.run import ApplyCommands, MoveRun
from ...store.append import Append
from ...store.appender import Receipt
from ...store.changeset import Changeset, ControlEntry, Interruption
from ...store.errors import LogError, ThreadlogError
from ..commit import LOOP, Workspace
from ..control import ApplyPoint
from ..events import Event
from .divergence import difference

EXTERNAL_ENDS = ("superseded", "recovered")
"""Written by another process: not compared, and the loop never came to an end of its own."""


class ReplayDiverged(ThreadlogError):
    """Today's code has left the log: `Recording.divergence` says where."""


class EndedElsewhere(LogError):
    """The log has no more of an epoch that another process has ended."""


class Recording:
    """The changesets of one epoch, in the log's order: what today's code must write again."""

    def __init__(self, changesets: Sequence[Changeset], reducers: Reducers) -> None:
        self.divergence: Divergence | None = None
        self.work: Workspace | None = None
        """The workspace of today's code: how far it is on the way to the next changeset."""
        self.advanced = anyio.Event()
        """Set and replaced when the next changeset is due."""
        # There may be two: one that was recovered to wait for a person may be superseded as it waits.
        own = takewhile(lambda each: each.reason not in EXTERNAL_ENDS, changesets)
        self._changesets = list(own)
        self._is_cut_off = len(self._changesets) < len(changesets)
        self._reducers = reducers
        self._written = 0
        self.running_calls: set[str] = set()
        """The tool calls that have begun and are not in a changeset yet."""
        self.effects_served = 0
        """How many effects of the next changeset were served."""
        self.attempts_served = 0
        """How many attempts of its inference were served."""

    @property
    def next(self) -> Changeset:
        """The changeset that must be written next.

        Raises:
            ReplayDiverged: the log has no more.
            EndedElsewhere: another process has ended the epoch there.
        """
        if self._written < len(self._changesets):
            return self._changesets[self._written]
        if self._is_cut_off:
            raise EndedElsewhere
        last = self._changesets[-1]
        raise self._diverging(
            Divergence(last.thread_id, last.version, "", "the end of the run", "something more")
        )

    def submit(self, append: Append) -> Receipt:
        """Compare what today's code writes with what the log has.

        Raises:
            ReplayDiverged: it is not the same.
        """
        changeset = append.changesets[-1].changeset
        if found := self.divergence or difference(self.next, changeset):
            raise self._diverging(found)
        self.running_calls -= {outcome.call_id for outcome in self.next.tool_calls}
        self._written += 1
        self.effects_served = self.attempts_served = 0
        self.advanced.set()
        self.advanced = anyio.Event()
        return Receipt.settled(append, changeset.version)

    def missing(self) -> Divergence | None:
        """What the log has and today's code did not write, if anything."""
        if self._written == len(self._changesets):
            return None
        self.diverge("the end of the run")
        return self.divergence

    def diverge(self, now: str) -> ReplayDiverged:
        """Today's code asks for something that the log does not have here. What follows is not compared."""
        one = self.next
        return self._diverging(Divergence(one.thread_id, one.version, "/reason", one.reason, now))

    def _diverging(self, found: Divergence) -> ReplayDiverged:
        """Keep the first divergence: what follows is a consequence of it."""
        self.divergence = self.divergence or found
        return ReplayDiverged(str(self.divergence))

    def actions(self, changeset: Changeset, source: str) -> list[StateAction]:
        """The actions of a changeset that a source has asked for."""
        return [self._reducers.action(record) for record in changeset.actions if record.source == source]

    def next_action(self) -> StateAction | None:
        """The first action of the next changeset that is not done yet, if the loop did it."""
        rest = self.next.actions[self.work.pending_actions if self.work else 0 :]
        return self._reducers.action(rest[0]) if rest and rest[0].source == LOOP else None

    def is_cancelled_at(self, wait: Interruption | None) -> bool:
        """Whether the log says that the run was cancelled now, while it waited for `wait`."""
        termination = self.next.run.termination if self.next.run else None
        is_cancelled = termination is not None and termination.type == "cancelled"
        return is_cancelled and termination is not None and termination.interrupted == wait


class RecordedCommands:
    """A run's commands and its cancellation, where the log has them."""

    def __init__(self, recording: Recording, stream: Sequence[Changeset]) -> None:
        self._recording = recording
        self._stream = stream

    def should_stop(self) -> bool:
        is_cancelled = self._recording.is_cancelled_at(None)
        return is_cancelled and isinstance(self._recording.next_action(), MoveRun)

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        action = self._recording.next_action()
        through = action.through if isinstance(action, ApplyCommands) and action.place == point else 0
        return [(each.version, each.entry) for each in self._stream[after:through] if each.entry]

    def is_interrupted(self, wait: Interruption) -> bool:
        return wait in self._recording.next.cut_off


class SilentChannel:
    """The publisher of a replay: it publishes nothing."""

    failure: Exception | None = None

    def emit(self, event: Event) -> None: ...

    def check_head(self, thread_id: str, version: int) -> None: ...
