"""One epoch of a run: how it begins and ends, whatever its course (agent_loop.py, remote_loop.py).

    open -> go -> an end, unless new commands let the run continue -> go ...

Every way out is an end in the log: failures, interruptions, and ends that cannot be stored. A run does not
finish with unread commands.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from anyio import CancelScope, get_cancelled_exc_class
from pydantic import JsonValue

from ...reducers.run import MoveRun, Status, done_reason
from ...store.changeset import (
    Executor,
    Inference,
    Interruption,
    Message,
    RunStatus,
    Termination,
    ThreadMetadata,
)
from ...store.errors import ContentError, LogError, VersionConflict, in_words
from ..agents import Registered
from ..commit import LOOP, Channel, Effects, Workspace
from ..control import Inbox, Interrupted, Mailbox, close_calls

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A new run."""

    messages: Sequence[Message]
    metadata: ThreadMetadata | None = None
    state: Mapping[str, JsonValue] = field(default_factory=dict)
    """Keys to set at the root of the thread's state."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The next epoch of a waiting or stopped run. Decisions come through the mailbox."""

    status: RunStatus
    """The status of the run before: its usage so far."""

    messages: Sequence[Message] = ()


class EpochContext:
    """Everything that one epoch works with."""

    def __init__(
        self,
        work: Workspace,
        effects: Effects,
        executor: Executor,
        channel: Channel,
        mailbox: Mailbox,
        registry: str,
    ) -> None:
        """`registry` is the fingerprint of the agent's registry."""
        self.work = work
        self.effects = effects
        self.executor = executor
        self.channel = channel
        self.mailbox = mailbox
        self.registry = registry
        self.inbox = Inbox(work, mailbox)

    def commit_opening(self, agent: Registered, opening: Start | Resume) -> None:
        """Commit the first changeset of the epoch, with everything that waits."""
        is_start = isinstance(opening, Start)
        self.work.commit(
            "run_started" if is_start else "run_resumed",
            run=RunStatus(status="running", usage=self.work.usage),
            executor=self.executor,
            agent=agent.snapshot().model_copy(update={"registry": self.registry}),
            thread=opening.metadata if isinstance(opening, Start) else None,
        )


class Course(Protocol):
    """The part of an epoch between its first and its last commit."""

    @property
    def output(self) -> JsonValue:
        """The run's output, once it has one."""
        ...

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Open what the epoch needs, such as a connection."""
        ...

    async def open(self, opening: Start | Resume) -> None:
        """Commit the first changeset."""
        ...

    async def go(self) -> Termination:
        """Run until there is a reason to end."""
        ...

    async def interrupted(self, wait: Interruption) -> Termination:
        """Return the end of a run that was cancelled while it waited."""
        ...

    async def broken_off(self) -> Termination:
        """Return the end of a run that was cancelled with its runtime."""
        ...

    def unless_continued(self, end: Termination) -> Termination | None:
        """Return the end, or another one instead; None if new commands let the run continue."""
        ...

    async def announce_end(self) -> None:
        """Let behaviors react to the end or the wait; what they do belongs to the last changeset."""
        ...

    def unanswered(self) -> Inference | None:
        """Return the model call that the run ends with, if it is not in the log yet."""
        ...


class Epoch:
    """One epoch of a run, from its first commit to its last."""

    def __init__(self, context: EpochContext, course: Course) -> None:
        self._context = context
        self._course = course
        self._work = context.work

    async def run(self, opening: Start | Resume) -> None:
        """Run to the end, and write it to the log.

        Raises:
            RunError, ContentError: the run cannot start like this; nothing was written.
        """
        async with self._course.connected():
            try:
                end = await self._end_of(self._course.open(opening))
                while not (end and await self._finish(end)):
                    end = await self._end_of(self._course.go())
            except get_cancelled_exc_class():
                if not self._context.channel.failure and self._work.is_open:
                    end = await self._end_of(self._course.broken_off())
                    await self._finish(end or Termination(type="cancelled"))
                raise

    async def _end_of(self, part: Awaitable[Termination | None]) -> Termination | None:
        """Return the end that a part of the run returned, or the end for its failure."""
        try:
            return await part
        except Interrupted as err:
            return await self._end_of(self._course.interrupted(err.wait))
        except Exception as err:
            if not self._work.is_open or isinstance(err, LogError):
                raise
            log.debug("run %s failed", self._work.identity.run_id, exc_info=True)
            return Termination(type="error", detail=in_words(err))

    async def _finish(self, termination: Termination) -> bool:
        """Commit the end, even while the run is being cancelled. Return False if the run continues."""
        mailbox = self._context.mailbox
        with CancelScope(shield=True):
            while end := self._course.unless_continued(termination):
                termination, received = self._unless_cancelled(end), mailbox.received
                try:
                    await self._commit_any_end(termination)
                    return True
                except VersionConflict as err:
                    if err.thread_id != self._work.identity.stream:
                        raise
                    mailbox.receive(err.between)
                    if mailbox.received == received:
                        # Nothing new: the conflict is not about the end but about the start of the run.
                        raise
            return False
        raise AssertionError("a shielded scope ends by itself")

    def _unless_cancelled(self, end: Termination) -> Termination:
        """Return the end, or a cancellation that arrived meanwhile, unless something failed."""
        is_final = end.type in ("error", "cancelled")
        return Termination(type="cancelled") if self._context.mailbox.should_stop() and not is_final else end

    async def _commit_any_end(self, termination: Termination) -> None:
        try:
            await self._commit_end(termination)
        except ContentError as err:
            # Something that waits cannot be stored. The end must be, and says why, without any of it.
            self._work.discard()
            await self._commit_end(Termination(type="error", detail=str(err)), is_second=True)

    async def _commit_end(self, termination: Termination, *, is_second: bool = False) -> None:
        work, status = self._work, _status(termination)
        with work.undo_on_error(keep_effects=False):
            moved = MoveRun(run_id=work.identity.run_id, status=status, done_reason=done_reason(termination))
            work.act([moved], source=LOOP)
            if status == "done":
                if is_second:
                    self._context.inbox.skip("end")
                else:
                    self._context.inbox.apply("end")
                close_calls(work)
            if not is_second:
                await self._course.announce_end()
            await work.commit_end(
                "run_finished" if status == "done" else "run_suspended",
                run=self._run_status(status, termination),
                inference=None if is_second else self._course.unanswered(),
            )

    def _run_status(self, status: Status, termination: Termination) -> RunStatus:
        has_output = termination.type in ("natural_end", "behavior_requested")
        return RunStatus(
            status=status,
            termination=termination,
            usage=self._work.usage,
            output=self._course.output if has_output else None,
        )


def _status(termination: Termination) -> Literal["waiting", "done"]:
    return "waiting" if termination.type == "suspended" else "done"
