"""The mailbox of a running run: commands that have arrived and are not yet applied."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Literal, Protocol

from anyio import CancelScope, get_cancelled_exc_class

from ...store.changeset import Changeset, ControlEntry, Interruption

ApplyPoint = Literal["step", "end"]
"""When a run applies commands: before a step, or at its end."""

INFERENCE = Interruption(kind="inference")
TOOLS = Interruption(kind="tools")


class Interrupted(Exception):
    """The run was cancelled during this wait."""

    def __init__(self, wait: Interruption) -> None:
        super().__init__(wait)
        self.wait = wait

    def __str__(self) -> str:
        return f"{self.wait} was interrupted"


class CommandSource(Protocol):
    """What a mailbox reads commands from: what it has received, or in a replay the log."""

    def should_stop(self) -> bool:
        """Return whether the run was cancelled."""
        ...

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        """Return the commands after a version that may be applied at this point, with their versions."""
        ...

    def is_interrupted(self, wait: Interruption) -> bool:
        """Return whether a replay must interrupt this wait. False outside of replays."""
        ...


class ReceivedCommands:
    """The commands that a mailbox has received."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, ControlEntry]] = []
        self.is_cancelled = False

    def should_stop(self) -> bool:
        return self.is_cancelled

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        unread = [(version, entry) for version, entry in self.entries if version > after]
        if point == "end":
            return unread
        # Leave a cancel unread until the run ends, so that it also cancels children started in the meantime.
        return list(takewhile(lambda each: each[1].kind != "cancel", unread))

    def is_interrupted(self, wait: Interruption) -> bool:
        return False


class Mailbox:
    """Receives a run's commands in stream order, and interrupts what the loop is waiting for."""

    def __init__(self, applied: int = 0, source: CommandSource | None = None) -> None:
        """`applied` is the version of the last applied command. `source` replaces the received commands."""
        self.interrupted: Interruption | None = None
        """What the run was waiting for when it was cancelled from outside."""
        self.received = applied
        """Version of the last command received from the control stream."""
        self._stream = ReceivedCommands()
        self._source: CommandSource = source or self._stream
        self._is_abandoned = False
        self._waits: list[tuple[CancelScope, bool]] = []
        """The pending waits, innermost last, and whether each is shielded."""
        self._command_wait: CancelScope | None = None
        """The pending wait that any command interrupts."""

    def receive(self, stream: Iterable[Changeset]) -> None:
        """Add new commands from the control stream. Commands received earlier are ignored."""
        for changeset in stream:
            if changeset.version == self.received + 1 and changeset.entry:
                self.received = changeset.version
                self._stream.entries.append((self.received, changeset.entry))
                if changeset.entry.kind == "cancel":
                    self.cancel()
                elif self._command_wait:
                    self._command_wait.cancel()

    def cancel(self) -> None:
        """Cancel the run, and interrupt its pending waits at once.

        `after_tool_execute` and `run_end` behaviors are shielded: a second call interrupts them.
        """
        self._is_abandoned = self._is_abandoned or self._stream.is_cancelled
        self._stream.is_cancelled = True
        for scope, shielded in self._waits:
            if self._is_abandoned or not shielded:
                scope.cancel()

    def abandon(self) -> None:
        """Cancel the run, and interrupt every wait, also later ones."""
        self._stream.is_cancelled = True
        self.cancel()

    @property
    def is_abandoned(self) -> bool:
        """Whether every wait is interrupted, shielded ones too."""
        return self._is_abandoned

    def should_stop(self) -> bool:
        """Return whether the run was cancelled."""
        return self._source.should_stop()

    def commands(self, after: int, point: ApplyPoint) -> list[tuple[int, ControlEntry]]:
        """Return the commands after a version that may be applied at this point, with their versions."""
        return self._source.commands(after, point)

    @contextmanager
    def interrupt_on_command(self, after: int) -> Iterator[None]:
        """Cancel the enclosed wait when a command newer than `after` arrives, or if there is one."""
        with CancelScope() as self._command_wait:
            if self.commands(after, "step"):
                self._command_wait.cancel()
            yield
        self._command_wait = None

    @contextmanager
    def interruptible(self, wait: Interruption, *, shielded: bool = False) -> Iterator[None]:
        """Interrupt the enclosed wait when the run is cancelled; a shielded wait, when it is abandoned.

        Raises:
            Interrupted: the wait was interrupted. Names the innermost one.
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
