"""The mailbox of a running run: commands that have arrived and are not yet applied."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Literal, Protocol

from anyio import CancelScope, get_cancelled_exc_class

from ...store.changeset import Changeset, ControlEntry, Interruption

ApplyPoint = Literal["step", "end"]

INFERENCE = Interruption(kind="inference")
TOOLS = Interruption(kind="tools")


class Interrupted(Exception):
    """The run was cancelled while it waited."""

    def __init__(self, wait: Interruption) -> None:
        super().__init__(wait)
        self.wait = wait

    def __str__(self) -> str:
        return f"{self.wait} was interrupted"


class CommandSource(Protocol):
    """Where a mailbox looks for what to do. A replay answers from the log."""

    def should_stop(self) -> bool:
        """Whether the run was cancelled."""
        ...

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        """The commands after a version of the stream that may be applied at a place, with versions."""
        ...

    def is_interrupted(self, wait: Interruption) -> bool:
        """Whether the log says that a wait was interrupted; False where there is no such log."""
        ...


class ReceivedCommands:
    """The commands that a mailbox has received."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, ControlEntry]] = []
        self.is_cancelled = False

    def should_stop(self) -> bool:
        return self.is_cancelled

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        news = [(version, entry) for version, entry in self.entries if version > after]
        # Leave a cancel unread until the run ends, so that it also cancels children started in the meantime.
        is_kept = point == "step"
        return list(takewhile(lambda each: not is_kept or each[1].kind != "cancel", news))

    def is_interrupted(self, wait: Interruption) -> bool:
        return False


class Mailbox:
    """Receives a run's commands in stream order and interrupts what the loop is waiting for."""

    def __init__(self, applied: int = 0, source: CommandSource | None = None) -> None:
        """`applied` is the version of the last command that was applied; `source` replaces the stream."""
        self.interrupted: Interruption | None = None
        """What the run was waiting for when the scope around it was cancelled."""
        self.received = applied
        """Version of the last command received from the control stream."""
        self._stream = ReceivedCommands()
        self._source: CommandSource = source or self._stream
        self._is_abandoned = False
        self._waits: list[tuple[CancelScope, bool]] = []
        """What the run waits for, the innermost last; and whether that shielded a cancellation."""
        self._listening: CancelScope | None = None
        """A wait that any command interrupts."""

    def receive(self, stream: Iterable[Changeset]) -> None:
        """Add new commands from the control stream. CommandSource received earlier are ignored."""
        for changeset in stream:
            if changeset.version == self.received + 1 and changeset.entry:
                self.received = changeset.version
                self._stream.entries.append((self.received, changeset.entry))
                if changeset.entry.kind == "cancel":
                    self.cancel()
                elif self._listening:
                    self._listening.cancel()

    def cancel(self) -> None:
        """Cancel the run. Pending waits are interrupted at once.

        after_tool_execute and run_end behaviors may finish; a second call interrupts those too.
        """
        self._is_abandoned = self._is_abandoned or self._stream.is_cancelled
        self._stream.is_cancelled = True
        for scope, shielded in self._waits:
            if self._is_abandoned or not shielded:
                scope.cancel()

    def abandon(self) -> None:
        """Cancel the run and interrupt every wait, now and later."""
        self._stream.is_cancelled = True
        self.cancel()

    @property
    def is_abandoned(self) -> bool:
        """Whether the run may wait for nothing any more."""
        return self._is_abandoned

    def should_stop(self) -> bool:
        """Whether the run was cancelled."""
        return self._source.should_stop()

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        """The commands after a version of the stream, with their versions.

        `point` is where the loop asks: before a step, or at the end.
        """
        return self._source.commands(after, point)

    @contextmanager
    def interrupt_on_command(self, after: int) -> Iterator[None]:
        """Interrupt the enclosed wait when a command newer than `after` arrives."""
        with CancelScope() as self._listening:
            if self.commands(after, "step"):
                self._listening.cancel()
            yield
        self._listening = None

    @contextmanager
    def interruptible(self, wait: Interruption, *, shielded: bool = False) -> Iterator[None]:
        """Interrupt the enclosed wait when the run is cancelled; if it `shielded` that, when abandoned.

        Raises:
            Interrupted: naming the innermost wait that was interrupted.
        """
        with CancelScope() as scope:
            self._waits.append((scope, shielded))
            if self._is_interrupted(shielded=shielded) or self._source.is_interrupted(wait):
                scope.cancel()
            try:
                yield
            except get_cancelled_exc_class():
                self.interrupted = self.interrupted or wait
                raise
            finally:
                self._waits.pop()
        if scope.cancelled_caught:
            innermost, self.interrupted = self.interrupted or wait, None
            raise Interrupted(innermost)

    def _is_interrupted(self, *, shielded: bool) -> bool:
        return self._is_abandoned or (self._stream.is_cancelled and not shielded)
