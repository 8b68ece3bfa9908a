"""The loop of a remote run: it follows a task on another server and mirrors it into the run's thread.

    the user's message, with the id under which it is sent       commit run_started, run_resumed
    [the agent card, if it has changed]                          commit mirrored
    the message is sent (delivery.py)                            commit mirrored
    news of the task arrives (watcher.py)                        commit mirrored, each
    the user sends a message or a decision                       commit user_message, decision; then send it
    the task has ended, or waits for an answer                   commit run_finished, run_suspended

Answers of the server are effects, like those of behaviors: they are logged, and a replay reads them from the
log. A cancelled run also cancels the task, and waits a short time for its end. A run whose process died
resumes in its next epoch, which first looks for messages that may have been sent.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from anyio import CancelScope, get_cancelled_exc_class
from anyio.lowlevel import checkpoint
from pydantic import JsonValue

from ...reducers.remote import Outgoing, RecordRemoteTask, RemoteTask, remote_task
from ...reducers.run import MoveRun, StartRun
from ...reducers.tool_call import ForgetToolCalls, pending_calls
from ...store.changeset import Inference, Interruption, Message, Termination
from ...store.errors import RunError
from ..agents import RemoteAgent
from ..commit import LOOP
from ..control import ApplyPoint, Interrupted
from ..events import TextDelta
from ..loop import EpochContext, Resume, Start
from .cancellation import Cancellation, CancelOutcome
from .delivery import Delivery, Outcome
from .mirror import (
    AWAITING_INPUT,
    TERMINAL,
    drop_known_messages,
    has_news,
    mirror_messages,
    output,
    problem,
    status,
)
from .outbox import SUBMISSION, Outbox
from .protocol import AgentCard, Task
from .remote_error import RemoteError, retry_until_answered
from .watcher import Watcher

T = TypeVar("T")

CANCEL_SECONDS = 10.0
"""How long a cancelled run waits for the end of its task, in seconds."""

CLOSING_SECONDS = 2.0
"""How long it waits if the runtime is closing, in seconds."""


class RemoteLoop:
    """The course of an epoch that a remote server executes and this process follows."""

    def __init__(self, agent: RemoteAgent, context: EpochContext) -> None:
        self._agent = agent
        self._context = context
        self._work = context.work
        self._effects = context.effects
        self._mailbox = context.mailbox
        self._inbox = context.inbox
        self._outbox = Outbox(self._work)
        self._task: Task | None = None
        """The task as last read in this epoch."""
        self._is_connected = False
        self._is_closing = False
        self.output: JsonValue = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        # Imported late: without a remote agent the SDK is not needed.
        from .client import RemoteClient

        async with RemoteClient(self._agent) as self._remote:
            yield

    async def end_interrupted(self, wait: Interruption) -> Termination:
        return await self._cancel()

    async def end_cancelled(self) -> Termination:
        self._is_closing = True
        return await self._cancel()

    async def announce_end(self) -> None:
        """Behaviors take no part in a remote run."""

    def unlogged_inference(self) -> Inference | None:
        return None

    async def open(self, opening: Start | Resume) -> None:
        work, identity = self._work, self._work.identity
        _check_messages(opening)
        if isinstance(opening, Start):
            work.act([StartRun(run_id=identity.run_id)], source=LOOP)
        else:
            work.act([MoveRun(run_id=identity.run_id, status="running")], source=LOOP)
            work.count_usage(opening.status.usage)
        self._outbox.doubt_every_message()
        if opening.messages:
            work.act([ForgetToolCalls()], source=LOOP)
        for message in opening.messages:
            work.add_message(message)
        self._outbox.add_messages(opening.messages)
        self._apply_commands("step")
        self._context.commit_opening(self._agent, opening)

    async def run(self) -> Termination:
        """Send the outbox and follow the task, until there is a reason to end."""
        if not self._is_connected:
            await self._connect()
        while self._outbox.termination is None:
            remote = remote_task(self._work.state)
            if remote.outbox and not self._awaits_confirmation(remote):
                if end := await self._deliver(remote):
                    return end
            elif end := self._find_end(remote):
                await self._interruptible("a2a:rest", checkpoint)
                return end
            else:
                await self._follow(remote)
        return self._outbox.termination

    async def _connect(self) -> None:
        """Connect with the current agent card, and commit it if it has changed."""

        async def card() -> AgentCard | None:
            found = await retry_until_answered(self._remote.card, self._effects, self._agent.patience)
            return found if found != self._agent.card else None

        if changed := await self._request("a2a:card", card):
            snapshot = replace(self._agent, card=changed).snapshot()
            self._work.commit(
                "mirrored", agent=snapshot.model_copy(update={"registry": self._context.registry})
            )
        self._is_connected = True

    async def _deliver(self, remote: RemoteTask) -> Termination | None:
        """Deliver the first message of the outbox. Return the end of the run if a person must help."""
        if any(call.name == SUBMISSION for call in pending_calls(self._work.state)):
            return Termination(type="suspended")
        message = remote.outbox[0]
        delivery = self._delivery(message, remote)
        # The message must be in the log before it can reach the server.
        await self._work.flush("mirrored")
        self._outbox.doubtful.add(message.id)
        answer: Outcome = await self._request("a2a:send", delivery.deliver)
        self._outbox.unconfirmed = message.id if "unconfirmed" in answer else None
        if "unknown" in answer:
            self._outbox.ask_about_delivery(message, answer["unknown"])
            return Termination(type="suspended")
        self._outbox.doubtful.discard(message.id)
        if "unconfirmed" in answer:
            self._mirror(answer["unconfirmed"])
        else:
            self._mirror(answer["task"], arrived=message.id)
        return None

    def _delivery(self, message: Outgoing, remote: RemoteTask) -> Delivery:
        is_unconfirmed = message.id == self._outbox.unconfirmed
        return Delivery(
            self._remote,
            self._effects,
            self._agent.patience,
            message,
            remote,
            may_have_arrived=is_unconfirmed or message.id in self._outbox.doubtful,
            is_unconfirmed=is_unconfirmed,
        )

    def _awaits_confirmation(self, remote: RemoteTask) -> bool:
        """Return whether the working task may still confirm the first message of the outbox."""
        is_working = remote.status not in (*TERMINAL, *AWAITING_INPUT)
        return is_working and remote.outbox[0].id == self._outbox.unconfirmed

    async def _follow(self, remote: RemoteTask) -> None:
        """Wait for news of the task or for a command."""
        work, last = self._work, self._task
        known, run_id = {message.id for message in work.messages}, work.identity.run_id
        watcher = Watcher(self._remote, self._effects, self._agent.patience, self._emit_text)

        def is_news(task: Task) -> bool:
            is_new = last is None or self._outbox.is_confirmed_by(task)
            return is_new or has_news(task, run_id, known, remote.sent, remote.status)

        async def news() -> Task | None:
            with self._mailbox.interrupt_on_command(work.control_version()):
                try:
                    task = await watcher.wait_for_news(remote.task or "", is_news)
                    return drop_known_messages(task, run_id, known)
                except RemoteError as err:
                    raise RemoteError(err.kind, _describe_loss(remote.task, err)) from None
            return None

        if task := await self._request("a2a:follow", news):
            self._mirror(task)
        else:
            self._commit_commands()

    def _emit_text(self, text: str) -> None:
        self._context.channel.emit(TextDelta(text))

    def _mirror(self, task: Task, arrived: str | None = None) -> None:
        """Commit the task's new messages, status and questions."""
        work, remote = self._work, remote_task(self._work.state)
        if self._outbox.is_confirmed_by(task):
            arrived, self._outbox.unconfirmed = self._outbox.unconfirmed, None
        for message in mirror_messages(task, work.identity.run_id, remote.sent):
            work.add_message(message)
        update = RecordRemoteTask(
            task=task.get("id", ""), context=task.get("contextId", ""), status=status(task), arrived=arrived
        )
        work.act([update], source=LOOP)
        self._outbox.update_questions(task)
        self._task = task
        work.commit("mirrored")

    def _commit_commands(self) -> None:
        """Apply new commands, in a changeset of their own."""
        before = self._work.pending_actions
        is_steered = self._apply_commands("step")
        if self._work.pending_actions > before:
            self._work.commit("user_message" if is_steered else "decision")

    def _apply_commands(self, point: ApplyPoint) -> bool:
        """Apply new commands and queue their messages. Return whether the user sent one."""
        known = len(self._work.messages)
        is_steered = self._inbox.apply(point)
        self._outbox.apply_decisions()
        self._outbox.add_messages(self._work.messages[known:])
        return is_steered

    def _find_end(self, remote: RemoteTask) -> Termination | None:
        """Return the end of the run for the status of its task; None if the run continues."""
        if self._task is None:
            # The agent answered an earlier epoch without a task: there is none to follow.
            has_no_task = remote.task is None and remote.status in TERMINAL
            return Termination(type="natural_end") if has_no_task else None
        match status(self._task):
            case "completed":
                self.output = output(self._task)
                return Termination(type="natural_end")
            case "failed" | "rejected":
                return Termination(type="error", detail=problem(self._task))
            case "canceled":
                return Termination(type="cancelled", detail="the remote task was canceled")
            case other if other in AWAITING_INPUT and pending_calls(self._work.state):
                return Termination(type="suspended")
        return None

    async def _cancel(self) -> Termination:
        """Cancel the task. Return the end of the run, which does not depend on the server's answer."""
        remote = remote_task(self._work.state)
        is_doubtful = any(message.id in self._outbox.doubtful for message in remote.outbox)
        if not (remote.task or is_doubtful) or (not is_doubtful and remote.status in TERMINAL):
            return Termination(type="cancelled")
        is_closing = self._is_closing or self._mailbox.is_abandoned
        seconds = CLOSING_SECONDS if is_closing else CANCEL_SECONDS
        cancellation = Cancellation(self._remote, self._effects, remote, seconds)
        answer: CancelOutcome = {}
        with CancelScope(shield=True):
            answer = await self._work.ask("a2a:cancel", cancellation.outcome)
        if task := answer.get("task"):
            self._mirror(task, arrived=answer.get("arrived"))
            is_canceled = status(task) == "canceled"
            detail = f"the remote task had already ended as {status(task)}"
            return Termination(type="cancelled", detail=None if is_canceled else detail)
        why = answer.get("unconfirmed")
        detail = f"the remote cancellation was requested but not confirmed: {why}"
        return Termination(type="cancelled", detail=detail if why else None)

    async def _request(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        """Send a request and record the answer.

        Raises:
            EffectError: the request failed.
            Interrupted: the run was cancelled.
        """
        return await self._interruptible(name, lambda: self._work.ask(name, call))

    async def _interruptible(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        wait = Interruption(kind="remote", name=name)
        try:
            with self._mailbox.interruptible(wait):
                return await call()
        except (Interrupted, get_cancelled_exc_class()):
            self._work.record_interruption(wait)
            raise

    def confirm_end(self, end: Termination) -> Termination | None:
        """Return the end; None if new commands let the run continue."""
        if self._mailbox.should_stop() and end.type == "suspended":
            # The task waits too, and must be cancelled.
            return None
        if end.type in ("error", "cancelled") or self._mailbox.should_stop():
            return end
        if not self._inbox.has_commands("end"):
            return end
        is_steered = self._apply_commands("end")
        self._work.commit("user_message" if is_steered else "decision")
        return None if remote_task(self._work.state).outbox or self._outbox.termination else end


def _check_messages(opening: Start | Resume) -> None:
    """Raise `RunError` unless all messages are from the user, and a new run has at least one."""
    messages: Sequence[Message] = opening.messages
    is_valid = all(message.role == "user" and message.content.strip() for message in messages)
    if not is_valid or (isinstance(opening, Start) and not messages):
        raise RunError("a remote agent accepts only non-empty user messages")


def _describe_loss(task_id: str | None, err: RemoteError) -> str:
    if err.kind == "lost":
        return f"the server no longer knows the remote task {task_id!r}: {err}"
    return f"the remote task {task_id!r} cannot be followed and may still be running: {err}"
