"""A run's ear: what is wanted of it while it goes on, in the order of its control stream."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Literal

from anyio import CancelScope, get_cancelled_exc_class

from ...store.changeset import Changeset, ControlEntry

Place = Literal["step", "end"]


class Interrupted(Exception):
    """The run was cancelled while it waited. `where` is `inference`, `tools`, or names a behavior."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"{self.where} was cut off"


class Control:
    """What the loop listens to where it waits for the world, and between its steps."""

    def __init__(self, taken: int = 0) -> None:
        self.interrupted: str | None = None
        """What the run waited for when it was cancelled with all that is around it."""
        self.heard = taken
        """The version of the control stream up to which everything has come here."""
        self._entries: list[tuple[int, ControlEntry]] = []
        self._is_cancelled = False
        self._is_abandoned = False
        self._waiting: list[tuple[CancelScope, bool]] = []
        """What it waits for now, the innermost last; and whether that outlasts a cancellation."""
        self._listening: CancelScope | None = None
        """What it does only until something is wanted of it."""

    def hear(self, stream: Iterable[Changeset]) -> None:
        """Take note of what stands in the control stream; what was heard before is passed over."""
        for changeset in stream:
            if changeset.version == self.heard + 1 and changeset.entry:
                self.heard = changeset.version
                self._entries.append((self.heard, changeset.entry))
                if changeset.entry.kind == "cancel":
                    self.cancel()
                elif self._listening:
                    self._listening.cancel()

    def cancel(self) -> None:
        """Stop the run at the next place where it can stop, which is at once while it waits.

        Behaviors that are being told of an end, a call's or the run's, may finish; asked a second time
        the run does not wait for them either.
        """
        self._is_abandoned = self._is_abandoned or self._is_cancelled
        self._is_cancelled = True
        for scope, outlasts in self._waiting:
            if self._is_abandoned or not outlasts:
                scope.cancel()

    def abandon(self) -> None:
        """Cancel the run, and wait for nothing any more."""
        self._is_cancelled = True
        self.cancel()

    @property
    def is_abandoned(self) -> bool:
        """Whether nothing may be waited for any more."""
        return self._is_abandoned

    def should_stop(self) -> bool:
        """For the loop: whether the run was cancelled."""
        return self._is_cancelled

    def entries(self, after: int, place: Place) -> list[tuple[int, ControlEntry]]:
        """For the loop: what came behind a version of the stream, with the versions.

        `place` is where the loop asks: before a step, or at the end.
        """
        news = [(version, entry) for version, entry in self._entries if version > after]
        # Until the run ends, a cancellation is among what it has not taken in: it cancels what begins, too.
        is_kept = place == "step"
        return list(takewhile(lambda each: not is_kept or each[1].kind != "cancel", news))

    @contextmanager
    def until_news(self, after: int) -> Iterator[None]:
        """Whatever is awaited inside is given up once there is something behind a version of the stream."""
        with CancelScope() as self._listening:
            if self.entries(after, "step"):
                self._listening.cancel()
            yield
        self._listening = None

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
