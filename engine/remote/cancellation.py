"""The end of a task that nobody wants any more: it is asked to stop, and waited for, but not for long."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import move_on_after

from ...reducers.remote import RemoteTask
from ..commit import Effects
from .delivery import Post
from .mirror import OVER, status
from .remote_error import RemoteError, lasting
from .watcher import Watch

if TYPE_CHECKING:
    from .client import Remote


@dataclass(slots=True)
class Cancellation:
    """One task, or what may have begun one."""

    remote: "Remote"
    effects: Effects
    known: RemoteTask
    """The remote side of the run, as the log has it."""

    seconds: float
    """For so long its end is waited for."""

    async def outcome(self) -> dict[str, Any]:
        """`{"task": …}` once it is over; `{"unconfirmed": why}`; nothing, if there is no task."""
        with move_on_after(self.seconds):
            try:
                return await self._canceled()
            except RemoteError as err:
                return {"unconfirmed": str(err)}
        return {"unconfirmed": f"the task was not over within {self.seconds:.0f} seconds"}

    async def _canceled(self) -> dict[str, Any]:
        if not self.remote.is_connected:
            await lasting(self.remote.card, self.effects, self.seconds)
        task_id, arrived = self.known.task, None
        for message in self.known.outbox:
            post = Post(self.remote, self.effects, self.seconds, message, self.known, may_be_there=True)
            found = await lasting(post.search, self.effects, self.seconds)
            if found and "task" in found:
                task_id, arrived = found["task"]["id"], message.id
            elif found and not task_id:
                return {"unconfirmed": found["unknown"]}
        return {"task": await self._over(task_id), "arrived": arrived} if task_id else {}

    async def _over(self, task_id: str) -> dict[str, Any]:
        try:
            await lasting(lambda: self.remote.cancel(task_id), self.effects, self.seconds)
        except RemoteError as err:
            # Where it is over there is nothing to cancel; how it ended is seen below.
            if err.kind not in ("finished", "unsupported"):
                raise
        watch = Watch(self.remote, self.effects, self.seconds, lambda _: None)
        return await watch.over(task_id, lambda task: status(task) in OVER)
