"""The executions of runs in this process."""

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
        """`after` is the version of the thread that it continues from."""
        self.run_id = identity.run_id
        self.thread_id = identity.thread_id
        self.epoch = identity.epoch
        self.after = after
        self.output_type = output_type
        self.mailbox = mailbox
        self.opening = Opening()
        self.scope = anyio.CancelScope()
        self.events: Broadcast | None = None
        """The broadcast that it publishes to, while it is executed here."""
        self.ended: RunResult | None = None
        """How the epoch ended, once that is known here."""
        self.over = anyio.Event()
        """Set when this epoch is no longer executed here. The next epoch may have begun by then."""
        self.failure: Exception | None = None
        """Why the epoch stopped before its end was durable."""

    @property
    def is_stopped(self) -> bool:
        """Whether it was interrupted. It no longer blocks other runs on its thread."""
        return self.scope.cancel_called

    def stop(self) -> None:
        """Interrupt it at once: its run was ended by another writer, or its commits fail."""
        self.scope.cancel()
        self.mailbox.abandon()

    def finish(self, failure: Exception | None, streams: Streams) -> None:
        """Record that the epoch is no longer executed here, and why if it failed."""
        self.opening.close(failure)
        if not self.opening.is_durable:
            # A queued run starts once the log can be written; until then it counts as failed.
            self.failure = failure if isinstance(failure, LogUnavailable) else None
        elif failure and not _is_ended(self, streams):
            self.failure = failure
        ended = self.events.ended if self.events else None
        # A subscriber may have kept the broadcast of an earlier epoch alive.
        self.ended = ended if ended and ended.version > self.after else None
        self.over.set()

    def __repr__(self) -> str:
        state = "over" if self.over.is_set() else "stopped" if self.is_stopped else "running"
        return f"<Execution of {self.run_id!r}, epoch {self.epoch}, on {self.thread_id!r}: {state}>"


class Executions:
    """The executions of this process: at most one on a thread that is not stopped."""

    def __init__(self) -> None:
        self._active: dict[str, Execution] = {}
        """By run id. Stopped executions stay until their task has ended."""
        self._failed: dict[str, Execution] = {}
        """By run id: executions that stopped before their end was durable. No other process knows of it."""

    def add(self, execution: Execution) -> None:
        self._active[execution.run_id] = execution
        self._failed.pop(execution.run_id, None)

    def remove(self, execution: Execution) -> None:
        del self._active[execution.run_id]
        if execution.failure:
            self._failed[execution.run_id] = execution
        if execution.events:
            # Wake subscribers: if the execution failed, their subscriptions end.
            execution.events.waiters.wake()
            # A handle keeps its execution, but must not keep the event buffer.
            execution.events = None

    def active(self) -> list[Execution]:
        return list(self._active.values())

    def of(self, run_id: str) -> Execution | None:
        """Return the execution of a run that is executed here now."""
        return self._active.get(run_id)

    def latest(self, run_id: str) -> Execution | None:
        """Return the current execution of a run, or the one that failed."""
        return self._active.get(run_id) or self._failed.get(run_id)

    def is_failed(self, run_id: str) -> bool:
        """Return whether the latest execution of a run failed here."""
        return run_id not in self._active and run_id in self._failed

    def on(self, thread_id: str) -> Execution | None:
        """Return the execution that owns a thread."""
        return next(
            (each for each in self._active.values() if each.thread_id == thread_id and not each.is_stopped),
            None,
        )

    def is_free(self, thread_id: str, run_id: str) -> bool:
        """Return whether a run may begin here: nothing owns its thread, and no execution of it remains."""
        return run_id not in self._active and not self.on(thread_id)


def _is_ended(execution: Execution, streams: Streams) -> bool:
    """Return whether the log has the end of the epoch. Another process may have written it."""
    with suppress(LogError):
        return streams.known_end(execution.run_id) is not None
    return False
