"""What reaches a run from outside while it goes on: its cancellation, and decisions about its calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from anyio import CancelScope, get_cancelled_exc_class

from .decision import Decision


class Interrupted(Exception):
    """The run was cancelled while it waited. `where` is `inference`, `tools`, or names a behavior."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"{self.where} was cut off"


class Control:
    """A run's ear. The loop listens where it waits for the world, and between its steps."""

    def __init__(self, decisions: Sequence[Decision] = ()) -> None:
        self.interrupted: str | None = None
        """What the run waited for when it was cancelled with all that is around it."""
        self._given = list(decisions)
        self._taken = 0
        self._is_closed = False
        self._is_cancelled = False
        self._is_abandoned = False
        self._waiting: list[tuple[CancelScope, bool]] = []
        """What it waits for now, the innermost last; and whether that outlasts a cancellation."""

    def decide(self, decisions: Sequence[Decision]) -> bool:
        """Hand decisions to the run; it takes them in at its next step. False if it has none any more."""
        if not self._is_closed:
            self._given += decisions
        return not self._is_closed

    def close(self) -> None:
        """For the loop: this is the end, and what comes now is too late for it."""
        self._is_closed = True

    def cancel(self) -> bool:
        """Stop the run where it can be stopped next, at once while it waits. False if that is nowhere.

        Behaviors that are being told of an end, a call's or the run's, may finish; asked a second time
        the run does not wait for them either.
        """
        self._is_abandoned = self._is_abandoned or self._is_cancelled
        self._is_cancelled = True
        for scope, outlasts in self._waiting:
            if self._is_abandoned or not outlasts:
                scope.cancel()
        return not self._is_closed

    def abandon(self) -> None:
        """Cancel the run, and wait for nothing any more."""
        self._is_cancelled = True
        self.cancel()

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
    def interruptible(self, where: str, *, outlasts: bool = False) -> Iterator[None]:
        """Whatever is awaited inside ends when the run is cancelled; if it `outlasts` that, when abandoned.

        Raises:
            Interrupted: it did. Of several, one inside the other, the innermost is named.
        """
        with CancelScope() as scope:
            self._waiting.append((scope, outlasts))
            if self._is_over(where, outlasts=outlasts):
                scope.cancel()
            try:
                yield
            except get_cancelled_exc_class():
                self.interrupted = self.interrupted or where
                raise
            finally:
                self._waiting.pop()
        if scope.cancelled_caught:
            innermost, self.interrupted = self.interrupted or where, None
            raise Interrupted(innermost)

    def _is_over(self, where: str, *, outlasts: bool) -> bool:
        """Whether nothing may be awaited any more."""
        return self._is_abandoned or (self._is_cancelled and not outlasts)
