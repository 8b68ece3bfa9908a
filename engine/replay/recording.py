"""A recorded epoch as a journal: it compares what today's code writes with what the log has."""

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
from .divergence import first_difference

EXTERNAL_ENDS = ("superseded", "recovered")
"""Reasons of changesets that another process wrote to end an epoch. They are not compared."""


class ReplayDiverged(ThreadlogError):
    """Today's code has diverged from the log. `Recording.divergence` says where."""


class EndedElsewhere(LogError):
    """The recording ends here, because another process ended the epoch."""


class Recording:
    """The changesets of one epoch, in order. Today's code must write the same."""

    def __init__(self, changesets: Sequence[Changeset], reducers: Reducers) -> None:
        self.divergence: Divergence | None = None
        self.work: Workspace | None = None
        """The workspace of today's code, with its progress towards the next changeset."""
        self.advanced = anyio.Event()
        """Set, and replaced by a new event, when a changeset has been written."""
        # There may be two: a run that was recovered and waits for a person may then be superseded.
        own = takewhile(lambda each: each.reason not in EXTERNAL_ENDS, changesets)
        self._changesets = list(own)
        self._is_ended_elsewhere = len(self._changesets) < len(changesets)
        self._reducers = reducers
        self._written = 0
        self.running_calls: set[str] = set()
        """Ids of the tool calls that have started and have no outcome yet."""
        self.effects_served = 0
        """The number of effects of the next changeset that were served."""
        self.attempts_served = 0
        """The number of its model attempts that were served."""

    @property
    def next(self) -> Changeset:
        """The changeset that must be written next.

        Raises:
            ReplayDiverged: the recording has ended.
            EndedElsewhere: another process ended the epoch here.
        """
        if self._written < len(self._changesets):
            return self._changesets[self._written]
        if self._is_ended_elsewhere:
            raise EndedElsewhere
        last = self._changesets[-1]
        raise self._record(
            Divergence(last.thread_id, last.version, "", "the end of the run", "another changeset")
        )

    def submit(self, append: Append) -> Receipt:
        """Compare an append of today's code with the log.

        Raises:
            ReplayDiverged: they differ.
        """
        changeset = append.changesets[-1].changeset
        if found := self.divergence or first_difference(self.next, changeset):
            raise self._record(found)
        self.running_calls -= {outcome.call_id for outcome in self.next.tool_calls}
        self._written += 1
        self.effects_served = self.attempts_served = 0
        self.advanced.set()
        self.advanced = anyio.Event()
        return Receipt.settled(append, changeset.version)

    def check_complete(self) -> Divergence | None:
        """Return a divergence if today's code has not written all changesets of the recording."""
        if self._written == len(self._changesets):
            return None
        self.diverge("the end of the run")
        return self.divergence

    def diverge(self, now: str) -> ReplayDiverged:
        """Record that today's code asks for `now`, which the log does not have here. Return the error."""
        logged = self.next
        return self._record(Divergence(logged.thread_id, logged.version, "/reason", logged.reason, now))

    def _record(self, found: Divergence) -> ReplayDiverged:
        """Keep the first divergence, as later ones follow from it, and return the error."""
        self.divergence = self.divergence or found
        return ReplayDiverged(str(self.divergence))

    def actions(self, changeset: Changeset, source: str) -> list[StateAction]:
        """Return the actions of a changeset that come from a source."""
        return [self._reducers.action(record) for record in changeset.actions if record.source == source]

    def next_action(self) -> StateAction | None:
        """Return the first action of the next changeset that is still to be done, if it is the loop's own."""
        rest = self.next.actions[self.work.pending_actions if self.work else 0 :]
        return self._reducers.action(rest[0]) if rest and rest[0].source == LOOP else None

    def is_cancelled_at(self, wait: Interruption | None) -> bool:
        """Return whether the next changeset ends the run as cancelled during `wait`; None: between waits."""
        end = self.next.run.termination if self.next.run else None
        return end is not None and end.type == "cancelled" and end.interrupted == wait


class RecordedCommands:
    """The commands and the cancellation of a recorded run, each where the log has it."""

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
    """A publisher for replays. It publishes nothing."""

    failure: Exception | None = None

    def emit(self, event: Event) -> None: ...

    def check_head(self, thread_id: str, version: int) -> None: ...
