"""At-most-once delivery of a message to a remote agent, as far as the server lets us check.

A message that may have arrived is looked for before it is sent again:

    the server accepts each message id once    no need to look: it is sent again
    the message is for a known task            in the history of that task
    the message starts a task                  in the history of every task of our context, then of all tasks,
                                               because servers may choose contexts themselves
    the server lists no tasks                  nowhere: a person is asked

A message to a working task is delivered once the history of the task shows it. Until then it is unconfirmed:
the server may have queued it, and may drop it if the task ends first. It is not sent again while the task
works. If the task ends without it, the message starts another task.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypedDict, cast, final

from ...reducers.remote import Outgoing, RemoteTask
from ..commit import Effects
from .mirror import AWAITING_INPUT, TERMINAL, message_ids, status
from .protocol import Part, Task, TaskMessage
from .remote_error import RemoteError, retry_until_answered

if TYPE_CHECKING:
    from .client import RemoteClient

MAX_PAGES = 20
"""The number of pages of a task list that are searched."""


@final
class Delivered(TypedDict):
    """The message has arrived."""

    task: Task
    """The task that received it."""


@final
class Unknown(TypedDict):
    """It is unknown whether the message has arrived."""

    unknown: str
    """Why."""


@final
class Unconfirmed(TypedDict):
    """The message was sent to a working task that does not show it yet."""

    unconfirmed: Task
    """The task."""


Outcome: TypeAlias = Delivered | Unknown | Unconfirmed


@dataclass(slots=True)
class Delivery:
    """Delivers one message."""

    client: "RemoteClient"
    effects: Effects
    patience: float
    message: Outgoing
    known: RemoteTask
    """The remote side of the run, from the log."""

    may_have_arrived: bool = field(kw_only=True)
    """Whether the message may have been sent earlier."""

    is_unconfirmed: bool = field(default=False, kw_only=True)
    """Whether the message was sent earlier, to the known task only."""

    async def deliver(self) -> Outcome:
        """Send the message, unless it has arrived already.

        Raises:
            RemoteError: the server refuses it or stays unreachable.
        """
        return await retry_until_answered(self._attempt, self.effects, self.patience)

    async def search(self) -> Delivered | Unknown | None:
        """Look for the message in the task lists of the server. Return None if it has not arrived.

        Raises:
            RemoteError: the server is unreachable.
        """
        unknown: Delivered | Unknown | None = None
        try:
            for context in (self.known.context, ""):
                found = await self._search_context(context)
                if found and "task" in found:
                    return found
                unknown = unknown or found
        except RemoteError as err:
            if err.kind not in ("unsupported", "refused"):
                raise
            return {"unknown": f"the server lists no tasks: {err}"}
        return unknown

    async def _attempt(self) -> Outcome:
        if self.may_have_arrived and (found := await self._find()):
            return found
        may_have_arrived, self.may_have_arrived, self.is_unconfirmed = self.may_have_arrived, True, False
        try:
            return await self._send()
        except RemoteError as err:
            self.may_have_arrived = may_have_arrived or err.was_sent
            raise

    async def _find(self) -> Outcome | None:
        """Look for the message. Return None if it can be sent without the risk of a duplicate."""
        if self.client.is_idempotent:
            return None
        if self.known.task:
            task = await self.client.get(self.known.task)
            if self._is_shown_by(task):
                return {"task": task}
            if status(task) not in TERMINAL:
                return self._find_in_open_task(task)
        return None if self.is_unconfirmed else await self.search()

    def _find_in_open_task(self, task: Task) -> Outcome | None:
        """Return the outcome for an open task that does not show the message; None to send it again."""
        if not self._shows_our_messages(task):
            return {"unknown": "the server reports no messages"}
        return None if status(task) in AWAITING_INPUT else {"unconfirmed": task}

    async def _send(self) -> Outcome:
        message: TaskMessage = {
            "messageId": self.message.id,
            "contextId": self.known.context,
            "parts": cast(list[Part], list(self.message.parts)),
        }
        task_id = self.known.task
        if not task_id or self.known.status in TERMINAL:
            return {"task": await self.client.send(message)}
        try:
            task = await self.client.send({**message, "taskId": task_id})
        except RemoteError as err:
            if err.kind == "unreachable" or status(await self.client.get(task_id)) not in TERMINAL:
                raise
        else:
            if outcome := await self._confirm(task, task_id):
                return outcome
        # The task has ended without the message, which starts another one in the same context.
        return {"task": await self.client.send(message)}

    async def _confirm(self, answer: Task, task_id: str) -> Outcome | None:
        """Return the outcome of a message to a task; None if the task ended without it.

        A task that waits for input reads the message next, even if it does not show it yet.
        """
        was_idle = self.known.status in AWAITING_INPUT
        if was_idle or self.client.is_idempotent or self._is_shown_by(answer) or answer.get("id") != task_id:
            return {"task": answer}
        task = await self.client.get(task_id)
        if self._is_shown_by(task) or status(task) in AWAITING_INPUT or not self._shows_our_messages(task):
            return {"task": task}
        return None if status(task) in TERMINAL else {"unconfirmed": task}

    async def _search_context(self, context: str) -> Delivered | Unknown | None:
        """Search the tasks of a context; all tasks if it is empty."""
        doubt, page = "", ""
        for _ in range(MAX_PAGES):
            tasks, page = await self.client.list_tasks(context, page)
            if found := next(filter(self._is_shown_by, tasks), None):
                return {"task": await self.client.get(found.get("id", ""))}
            if context and any(map(self._may_have_started, tasks)):
                doubt = "a task of the conversation does not show its first message"
            if not page:
                return {"unknown": doubt} if doubt else None
        return {"unknown": doubt or "the server has too many tasks to search"}

    def _is_shown_by(self, task: Task) -> bool:
        return self.message.id in message_ids(task)

    def _shows_our_messages(self, task: Task) -> bool:
        return not set(self.known.sent).isdisjoint(message_ids(task))

    def _may_have_started(self, task: Task) -> bool:
        """Return whether the message may have started a task that does not show its first message."""
        has_prompt = any(each.get("role") == "ROLE_USER" for each in task.get("history", []))
        return not has_prompt and task.get("id") != self.known.task
