"""Where a run's changesets go: to the log, to somebody who appends them later, to a comparison with a log."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ..store.async_log import AsyncLog, Pending
from ..store.changeset import Changeset


class Behind(NamedTuple):
    """What an append comes behind."""

    version: int
    """Of its thread."""

    last: Pending | None = None
    """The append before it, without which it must not be written."""

    heads: Mapping[str, int] | None = None
    """The versions that other streams must have."""


class Journal(Protocol):
    """Takes changesets in order."""

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        """Queue an append; the answer is awaited later."""
        raise NotImplementedError


class LogJournal:
    """The log behind `await`. What is to stand `before` the first changeset is appended together with it."""

    def __init__(
        self, log: AsyncLog, before: Sequence[Changeset] = (), heads: Mapping[str, int] | None = None
    ) -> None:
        self._log = log
        self._before = before
        self._heads = heads

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        before, heads = self._before, behind.heads or self._heads
        self._before, self._heads = (), None
        return self._log.submit(
            (*before, changeset), behind.version - len(before), heads=heads, behind=behind.last
        )


class Kept:
    """Keeps the changesets, with their versions, for whoever appends them."""

    def __init__(self) -> None:
        self.changesets: list[Changeset] = []

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        self.changesets.append(changeset.model_copy(update={"version": behind.version + 1}))
        return Pending.answered(behind.version + 1)
