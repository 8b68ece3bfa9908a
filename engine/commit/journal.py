"""Where a run's changesets go: to the log, to somebody who appends them later, to a comparison with a log."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from ...store.async_log import AsyncLog, Pending
from ...store.changeset import Changeset


class Condition(NamedTuple):
    """What must hold elsewhere in the log when something is appended."""

    heads: Mapping[str, int] = MappingProxyType({})
    """The versions that other streams must have."""

    open_run: str | None = None
    """A run that must not be over."""

    def and_head(self, stream: str, version: int) -> "Condition":
        """And another stream must have a version, too."""
        return self._replace(heads={**self.heads, stream: version})


class Behind(NamedTuple):
    """What an append comes behind."""

    version: int
    """Of its thread."""

    last: Pending | None = None
    """The append before it, without which it must not be written."""

    condition: Condition | None = None
    """What must hold elsewhere."""


class Journal(Protocol):
    """Takes changesets in order."""

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        """Queue an append; the answer is awaited later."""
        raise NotImplementedError


class LogJournal:
    """The log behind `await`. What is to stand `before` the first changeset is appended together with it.

    The first append has the condition that is given here.
    """

    def __init__(
        self, log: AsyncLog, before: Sequence[Changeset] = (), condition: Condition | None = None
    ) -> None:
        self._log = log
        self._before = before
        self._condition = condition

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        before, condition = self._before, behind.condition or self._condition or Condition()
        self._before, self._condition = (), None
        return self._log.submit(
            (*before, changeset),
            behind.version - len(before),
            heads=condition.heads,
            open_run=condition.open_run,
            behind=behind.last,
        )

    def head(self, thread_id: str) -> int:
        """The version that a thread has in the log now."""
        return self._log.log.head(thread_id)


class Kept:
    """Keeps the changesets, with their versions, for whoever appends them."""

    def __init__(self) -> None:
        self.changesets: list[Changeset] = []

    def submit(self, changeset: Changeset, behind: Behind) -> Pending:
        self.changesets.append(changeset.model_copy(update={"version": behind.version + 1}))
        return Pending.answered(behind.version + 1)
