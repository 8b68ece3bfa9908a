"""A message on its way to a remote agent: sent once, as far as a server lets one know.

Where it may have arrived already, it is looked for before it is sent again:

    the server knows messages by their ids     it is simply sent again
    it is for a task that is known             it is in that task's history, or not
    it was to begin a task                     it is in the history of a task of our context, or of any other,
                                               for a server may name contexts itself; or in none
    the server does not let us look            nobody knows: a person is asked
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...reducers.remote import Outgoing, RemoteTask
from ..commit import Effects
from .mirror import OVER, Task, status
from .remote_error import RemoteError, lasting

if TYPE_CHECKING:
    from .client import Remote

MOST_PAGES = 20
"""Of a list of tasks, that are looked through."""


@dataclass(slots=True)
class Post:
    """One message, until it is known what has become of it."""

    remote: "Remote"
    effects: Effects
    patience: float
    message: Outgoing
    known: RemoteTask
    """The remote side of the run, as the log has it."""

    may_be_there: bool = field(kw_only=True)
    """Whether it may have been sent before."""

    async def deliver(self) -> dict[str, Any]:
        """`{"task": …}`, the task that the message has come to; or `{"unknown": why}`.

        Raises:
            RemoteError: it is refused, or the server stays unreachable.
        """
        return await lasting(self._attempt, self.effects, self.patience)

    async def find(self) -> dict[str, Any] | None:
        """As `deliver`; None if the message has not arrived, or may be sent again whether it has or not."""
        if self.remote.is_idempotent:
            return None
        if self.known.task:
            task = await self.remote.get(self.known.task)
            if self._is_in(task):
                return {"task": task}
            if status(task) not in OVER:
                return None if self._has_ours(task) else {"unknown": "the server tells nothing of messages"}
        try:
            return await self.search()
        except RemoteError as err:
            if err.kind not in ("unsupported", "refused"):
                raise
            return {"unknown": f"the server lists no tasks: {err}"}

    async def _attempt(self) -> dict[str, Any]:
        if self.may_be_there and (found := await self.find()):
            return found
        may_be_there, self.may_be_there = self.may_be_there, True
        try:
            return {"task": await self._send()}
        except RemoteError as err:
            self.may_be_there = may_be_there or err.was_sent
            raise

    async def _send(self) -> Task:
        message = {
            "messageId": self.message.id,
            "contextId": self.known.context,
            "parts": list(self.message.parts),
        }
        if not self.known.task or self.known.status in OVER:
            return await self.remote.send(message)
        try:
            return await self.remote.send({**message, "taskId": self.known.task})
        except RemoteError as err:
            if err.kind == "unreachable" or status(await self.remote.get(self.known.task)) not in OVER:
                raise
        # It has come to its end meanwhile: what is said now begins another task of the conversation.
        return await self.remote.send(message)

    async def search(self) -> dict[str, Any] | None:
        """As `find`, by the lists of the server alone.

        Raises:
            RemoteError: it does not list them.
        """
        doubt = ""
        for context in (self.known.context, ""):
            page = ""
            for _ in range(MOST_PAGES):
                tasks, page = await self.remote.listed(context, page)
                if found := next(filter(self._is_in, tasks), None):
                    return {"task": await self.remote.get(found["id"])}
                if context and any(map(self._may_be_it, tasks)):
                    doubt = "a task of the conversation does not say what it began with"
                if not page:
                    break
            else:
                doubt = doubt or "the server has too many tasks to look through"
        return {"unknown": doubt} if doubt else None

    def _is_in(self, task: Task) -> bool:
        return self.message.id in _ids(task)

    def _has_ours(self, task: Task) -> bool:
        return not set(self.known.sent).isdisjoint(_ids(task))

    def _may_be_it(self, task: Task) -> bool:
        says = any(each.get("role") == "ROLE_USER" for each in task.get("history", []))
        return not says and task.get("id") != self.known.task


def _ids(task: Task) -> Iterator[str]:
    return (each.get("messageId", "") for each in task.get("history", []))
