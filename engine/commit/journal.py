"""Where a run's appends go: to the log, to a list, or into a comparison with a recorded run."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ...store.append import ALWAYS, Append, Condition
from ...store.appender import Receipt
from ...store.changeset import Changeset
from ...store.codec import Encoded


class Journal(Protocol):
    """Receives a run's appends in order. `Appender` is the journal of a log."""

    def submit(self, append: Append) -> Receipt:
        """Queue an append. Await the receipt's result to know that it is durable."""
        ...


class Prelude(NamedTuple):
    """What the first append of an epoch needs besides its changeset."""

    before: Sequence[Encoded] = ()
    """Changesets to write to the thread before it, in the same append."""

    condition: Condition = ALWAYS
    """What must hold in the log when it is written."""


class MemoryJournal:
    """Keeps changesets in memory, for a caller that appends them itself."""

    def __init__(self) -> None:
        self.encoded: list[Encoded] = []

    @property
    def changesets(self) -> list[Changeset]:
        return [each.changeset for each in self.encoded]

    def submit(self, append: Append) -> Receipt:
        self.encoded += append.changesets
        return Receipt.settled(append, append.changesets[-1].changeset.version)
