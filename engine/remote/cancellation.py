"""Cancels a remote task, and waits a short time for its end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from anyio import move_on_after

from ...reducers.remote import RemoteTask
from ..commit import Effects
from .delivery import Delivery
from .mirror import TERMINAL, status
from .protocol import Task
from .remote_error import RemoteError, retry_until_answered
from .watcher import Watcher

if TYPE_CHECKING:
    from .client import RemoteClient


class CancelOutcome(TypedDict, total=False):
    """The result of a cancellation. Empty if there is no task."""

    task: Task
    """The task after its end."""

    arrived: str | None
    """The id of the outbox message that was found in the task."""

    unconfirmed: str
    """Why it is unknown whether the task has ended."""


@dataclass(slots=True)
class Cancellation:
    """Cancels the task of a run, or one that a message in its outbox may have started."""

    client: "RemoteClient"
    effects: Effects
    known: RemoteTask
    """The remote side of the run, from the log."""

    seconds: float
    """How long to wait for the end of the task."""

    async def outcome(self) -> CancelOutcome:
        """Cancel the task and wait for its end."""
        with move_on_after(self.seconds):
            try:
                return await self._cancel()
            except RemoteError as err:
                return {"unconfirmed": str(err)}
        return {"unconfirmed": f"the task did not end within {self.seconds:.0f} seconds"}

    async def _cancel(self) -> CancelOutcome:
        if not self.client.is_connected:
            await retry_until_answered(self.client.card, self.effects, self.seconds)
        task_id, arrived = self.known.task, None
        for message in self.known.outbox:
            delivery = Delivery(
                self.client, self.effects, self.seconds, message, self.known, may_have_arrived=True
            )
            found = await retry_until_answered(delivery.search, self.effects, self.seconds)
            if found and "task" in found:
                task_id, arrived = found["task"].get("id", ""), message.id
            elif found and not task_id:
                return {"unconfirmed": found["unknown"]}
        return {"task": await self._cancel_task(task_id), "arrived": arrived} if task_id else {}

    async def _cancel_task(self, task_id: str) -> Task:
        try:
            await retry_until_answered(lambda: self.client.cancel(task_id), self.effects, self.seconds)
        except RemoteError as err:
            # The task may have ended already. The watcher reads how.
            if err.kind not in ("finished", "unsupported"):
                raise
        watcher = Watcher(self.client, self.effects, self.seconds, lambda _: None)
        return await watcher.poll(task_id, lambda task: status(task) in TERMINAL)
