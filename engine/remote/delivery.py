"""At-most-once delivery of a message to a remote agent, as far as the server lets us check.

A message that may have arrived is looked for before it is sent again:

    the server accepts each message id once    no need to look: it is sent again
    the message is for a known task            in the history of that task
    the message begins a task                  in the history of every task of our context, then of all tasks,
                                               because servers may choose contexts themselves
    the server lists no tasks                  nowhere: a person is asked
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypedDict, cast, final

from ...reducers.remote import Outgoing, RemoteTask
from ..commit import Effects
from .mirror import OVER, status
from .protocol import Part, Task, TaskMessage
from .remote_error import RemoteError, retry_until_answered

if TYPE_CHECKING:
    from .client import RemoteClient

MAX_PAGES = 20
"""How many pages of a task list are searched."""


@final
class Found(TypedDict):
    """The message has arrived."""

    task: Task
    """The task that it has reached."""


@final
class Unknown(TypedDict):
    """The message may have arrived, or not."""

    unknown: str
    """Why this cannot be known."""


Outcome: TypeAlias = Found | Unknown


@dataclass(slots=True)
class Delivery:
    """The delivery of one message."""

    client: "RemoteClient"
    effects: Effects
    patience: float
    message: Outgoing
    known: RemoteTask
    """The remote side of the run, from the log."""

    may_be_there: bool = field(kw_only=True)
    """Whether the message may have been sent before."""

    async def deliver(self) -> Outcome:
        """Send the message, unless it has arrived already.

        Raises:
            RemoteError: the server refuses it or stays unreachable.
        """
        return await retry_until_answered(self._attempt, self.effects, self.patience)

    async def search(self) -> Outcome | None:
        """Look for the message in the task lists of the server. Return None if it has not arrived.

        Raises:
            RemoteError: the server does not list its tasks.
        """
        unknown: Outcome | None = None
        for context in (self.known.context, ""):
            found = await self._search(context)
            if found and "task" in found:
                return found
            unknown = unknown or found
        return unknown

    async def _attempt(self) -> Outcome:
        if self.may_be_there and (found := await self._find()):
            return found
        may_be_there, self.may_be_there = self.may_be_there, True
        try:
            return {"task": await self._send()}
        except RemoteError as err:
            self.may_be_there = may_be_there or err.was_sent
            raise

    async def _find(self) -> Outcome | None:
        """Look for the message. Return None if it can be sent without arriving twice."""
        if self.client.is_idempotent:
            return None
        if self.known.task:
            task = await self.client.get(self.known.task)
            if self._is_in(task):
                return {"task": task}
            if status(task) not in OVER:
                return None if self._has_ours(task) else {"unknown": "the server reports no messages"}
        try:
            return await self.search()
        except RemoteError as err:
            if err.kind not in ("unsupported", "refused"):
                raise
            return {"unknown": f"the server lists no tasks: {err}"}

    async def _send(self) -> Task:
        message: TaskMessage = {
            "messageId": self.message.id,
            "contextId": self.known.context,
            "parts": cast(list[Part], list(self.message.parts)),
        }
        if not self.known.task or self.known.status in OVER:
            return await self.client.send(message)
        try:
            return await self.client.send({**message, "taskId": self.known.task})
        except RemoteError as err:
            if err.kind == "unreachable" or status(await self.client.get(self.known.task)) not in OVER:
                raise
        # The task has ended meanwhile: the message begins another one in the same context.
        return await self.client.send(message)

    async def _search(self, context: str) -> Outcome | None:
        """Search the tasks of a context; all tasks if it is empty."""
        doubt, page = "", ""
        for _ in range(MAX_PAGES):
            tasks, page = await self.client.list_tasks(context, page)
            if found := next(filter(self._is_in, tasks), None):
                return {"task": await self.client.get(found.get("id", ""))}
            if context and any(map(self._may_be_it, tasks)):
                doubt = "a task of the conversation does not say what it began with"
            if not page:
                return {"unknown": doubt} if doubt else None
        return {"unknown": doubt or "the server has too many tasks to search"}

    def _is_in(self, task: Task) -> bool:
        return self.message.id in _ids(task)

    def _has_ours(self, task: Task) -> bool:
        return not set(self.known.sent).isdisjoint(_ids(task))

    def _may_be_it(self, task: Task) -> bool:
        """Return whether the message may have started this task: its history does not say."""
        has_prompt = any(each.get("role") == "ROLE_USER" for each in task.get("history", []))
        return not has_prompt and task.get("id") != self.known.task


def _ids(task: Task) -> Iterator[str]:
    return (each.get("messageId", "") for each in task.get("history", []))
