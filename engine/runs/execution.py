"""The runs that are executed in this process, and how each of them is doing."""

from contextlib import suppress

import anyio
from pydantic import BaseModel

from ...store.errors import LogError, LogUnavailable
from ..commit import Opening, RunIdentity
from ..control import Mailbox
from ..events import Broadcast, RunResult, Streams


class Execution:
    """One epoch of a run, executed here."""

    def __init__(
        self, identity: RunIdentity, mailbox: Mailbox, after: int, output_type: type[BaseModel] | None
    ) -> None:
        """It begins `after` a version of its thread."""
        self.run_id = identity.run_id
        self.thread_id = identity.thread_id
        self.epoch = identity.epoch
        self.after = after
        self.output_type = output_type
        self.mailbox = mailbox
        self.opening = Opening()
        self.scope = anyio.CancelScope()
        self.events: Broadcast | None = None
        """Where its events are published, while it is executed here."""
        self.ended: RunResult | None = None
        """How the epoch ended, once that is known here."""
        self.over = anyio.Event()
        """Set when this epoch is no longer executed here; the next one may have begun by then."""
        self.failure: Exception | None = None
        """Why the epoch ended without an end in the log."""

    @property
    def is_stopped(self) -> bool:
        """Whether another run owns its thread: what it still waits for blocks no other run."""
        return self.scope.cancel_called

    def stop(self) -> None:
        """Interrupt it at once: another run owns its thread, or it cannot write."""
        self.scope.cancel()
        self.mailbox.abandon()

    def finish(self, failure: Exception | None, streams: Streams) -> None:
        """Record that the epoch is no longer executed here, and why if it failed."""
        self.opening.close(failure)
        if not self.opening.is_durable:
            # A queued run begins as soon as it can be written: until then it has failed.
            self.failure = failure if isinstance(failure, LogUnavailable) else None
        elif failure and not _is_ended(self, streams):
            self.failure = failure
        ended = self.events.ended if self.events else None
        # A subscriber may have kept the events of an earlier epoch.
        self.ended = ended if ended and ended.version > self.after else None
        self.over.set()

    def __repr__(self) -> str:
        state = "over" if self.over.is_set() else "stopped" if self.is_stopped else "running"
        return f"<Execution of {self.run_id!r}, epoch {self.epoch}, on {self.thread_id!r}: {state}>"


class Executions:
    """The executions of this process: at most one on a thread that is not stopped."""

    def __init__(self) -> None:
        self._active: dict[str, Execution] = {}
        """By run. One that lost its thread may be among them for a moment."""
        self._failed: dict[str, Execution] = {}
        """By run: those whose commits failed. Only this process knows that they do not continue."""

    def add(self, execution: Execution) -> None:
        self._active[execution.run_id] = execution
        self._failed.pop(execution.run_id, None)

    def remove(self, execution: Execution) -> None:
        del self._active[execution.run_id]
        if execution.failure:
            self._failed[execution.run_id] = execution
        if execution.events:
            # Subscribers of a failed run hear nothing more.
            execution.events.waiters.wake()
            # A handle keeps its execution, and must not keep the buffer.
            execution.events = None

    def active(self) -> list[Execution]:
        return list(self._active.values())

    def of(self, run_id: str) -> Execution | None:
        """The execution of a run, if it is executed here now."""
        return self._active.get(run_id)

    def latest(self, run_id: str) -> Execution | None:
        """The execution of a run: the present one, or the one that failed."""
        return self._active.get(run_id) or self._failed.get(run_id)

    def is_failed(self, run_id: str) -> bool:
        """Whether the last execution of a run failed here."""
        return run_id not in self._active and run_id in self._failed

    def on(self, thread_id: str) -> Execution | None:
        """The execution that owns a thread."""
        return next(
            (each for each in self._active.values() if each.thread_id == thread_id and not each.is_stopped),
            None,
        )

    def is_free(self, thread_id: str, run_id: str) -> bool:
        """Whether a run may begin here: its thread is free, and nothing of the run is left."""
        return run_id not in self._active and not self.on(thread_id)


def _is_ended(execution: Execution, streams: Streams) -> bool:
    """Whether the epoch has an end in the log, perhaps written by the process that took its thread."""
    with suppress(LogError):
        return streams.known_end(execution.run_id) is not None
    return False
