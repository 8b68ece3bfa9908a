"""What reaches a run from outside while it goes on: its cancellation, and decisions about its calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from anyio import CancelScope, get_cancelled_exc_class

from .decision import Decision


class Interrupted(Exception):
    """The run was cancelled while it waited for the world. `where` is `inference` or `tools`."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class Control:
    """A run's ear. The loop listens where it waits for the world, and between its steps."""

    def __init__(self, decisions: Sequence[Decision] = ()) -> None:
        self.interrupted: str | None = None
        """What the run waited for when it was cancelled with all that is around it."""
        self.where: str | None = None
        """What it waits for now, if that can be interrupted."""
        self._given = list(decisions)
        self._taken = 0
        self._is_closed = False
        self._is_cancelled = False
        self._waiting: CancelScope | None = None

    def decide(self, decisions: Sequence[Decision]) -> bool:
        """Hand decisions to the run; it takes them in at its next step. False if it has none any more."""
        if not self._is_closed:
            self._given += decisions
        return not self._is_closed

    def close(self) -> None:
        """For the loop: this is the end, and decisions come too late for it."""
        self._is_closed = True

    def cancel(self) -> None:
        """Stop the run at the next place where it can stop, which is at once while it waits."""
        self._is_cancelled = True
        if self._waiting:
            self._waiting.cancel()

    def should_stop(self) -> bool:
        """For the loop: whether the run was cancelled."""
        return self._is_cancelled

    def waiting(self) -> list[Decision]:
        """The decisions that were not taken in yet."""
        return self._given[self._taken :]

    def take(self) -> list[Decision]:
        """For the loop: the decisions that were not taken in yet; now they are."""
        taken, self._taken = self.waiting(), len(self._given)
        return taken

    @contextmanager
    def interruptible(self, where: str) -> Iterator[None]:
        """Whatever is awaited inside ends when the run is cancelled.

        Raises:
            Interrupted: it did.
        """
        with CancelScope() as scope:
            self._waiting, self.where = scope, where
            if self._is_cancelled:
                scope.cancel()
            try:
                yield
            except get_cancelled_exc_class():
                self.interrupted = where
                raise
            finally:
                self._waiting = self.where = None
        if scope.cancelled_caught:
            raise Interrupted(where)
