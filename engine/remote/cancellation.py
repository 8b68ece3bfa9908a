"""Cancelling a remote task: ask the server to cancel it, and wait a short time until it is over."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from anyio import move_on_after

from ...reducers.remote import RemoteTask
from ..commit import Effects
from .delivery import Delivery
from .mirror import OVER, status
from .protocol import Task
from .remote_error import RemoteError, retry_until_answered
from .watcher import Watcher

if TYPE_CHECKING:
    from .client import RemoteClient


class CancelOutcome(TypedDict, total=False):
    """What became of a task that was to be cancelled. Empty if there is none."""

    task: Task
    """The finished task."""

    arrived: str | None
    """The id of the outbox message that started it, if that was unknown."""

    unconfirmed: str
    """Why it is not known whether the task is over."""


@dataclass(slots=True)
class Cancellation:
    """Cancels the task of a run, or one that a message in its outbox may have started."""

    client: "RemoteClient"
    effects: Effects
    known: RemoteTask
    """The remote side of the run, from the log."""

    seconds: float
    """How long to wait until the task is over."""

    async def outcome(self) -> CancelOutcome:
        """Cancel the task, and return what became of it."""
        with move_on_after(self.seconds):
            try:
                return await self._cancel()
            except RemoteError as err:
                return {"unconfirmed": str(err)}
        return {"unconfirmed": f"the task was not over within {self.seconds:.0f} seconds"}

    async def _cancel(self) -> CancelOutcome:
        if not self.client.is_connected:
            await retry_until_answered(self.client.card, self.effects, self.seconds)
        task_id, arrived = self.known.task, None
        for message in self.known.outbox:
            delivery = Delivery(
                self.client, self.effects, self.seconds, message, self.known, may_be_there=True
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
            # The task may be finished already. Reading it shows how it ended.
            if err.kind not in ("finished", "unsupported"):
                raise
        watcher = Watcher(self.client, self.effects, self.seconds, lambda _: None)
        return await watcher.poll(task_id, lambda task: status(task) in OVER)
