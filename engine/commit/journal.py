"""Where a run's appends go: to the log, to a caller that writes them, or to a comparison with a log."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ...store.append import ALWAYS, Append, Condition
from ...store.appender import Receipt
from ...store.changeset import Changeset
from ...store.codec import Encoded


class Journal(Protocol):
    """Takes appends in order. `Appender` is one."""

    def submit(self, append: Append) -> Receipt:
        """Queue an append; the answer is awaited later."""
        ...


class Prelude(NamedTuple):
    """What goes with the first append of an epoch."""

    before: Sequence[Encoded] = ()
    """Changesets of the thread that are written together with it, right before it."""

    condition: Condition = ALWAYS
    """What must hold when it is written."""


class MemoryJournal:
    """A journal that keeps the changesets, for a caller that appends them itself."""

    def __init__(self) -> None:
        self.encoded: list[Encoded] = []

    @property
    def changesets(self) -> list[Changeset]:
        return [each.changeset for each in self.encoded]

    def submit(self, append: Append) -> Receipt:
        self.encoded += append.changesets
        return Receipt.settled(append, append.changesets[-1].changeset.version)
