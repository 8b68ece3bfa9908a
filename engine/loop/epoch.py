"""One epoch of a run: how it begins and ends, whatever happens in between (agent_loop.py, remote_loop.py).

    open -> go -> an end, unless commands have arrived that let the run continue -> go ...

Every way out is an end in the log: failures, interruptions, and ends that cannot be stored. A run does not
end with commands that it has not applied.
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
    """Set at the root of the thread's state, key by key."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The next epoch of a run that waits, or was stopped. Decisions come through the mailbox."""

    status: RunStatus
    """Where the run stood before: its usage so far."""

    messages: Sequence[Message] = ()


class EpochContext:
    """What one epoch works with."""

    def __init__(
        self,
        work: Workspace,
        effects: Effects,
        executor: Executor,
        channel: Channel,
        mailbox: Mailbox,
        registry: str,
    ) -> None:
        """`registry` is the fingerprint of the registry that the agent comes from."""
        self.work = work
        self.effects = effects
        self.executor = executor
        self.channel = channel
        self.mailbox = mailbox
        self.registry = registry
        self.inbox = Inbox(work, mailbox)

    def commit_opening(self, agent: Registered, opening: Start | Resume) -> None:
        """Commit the first changeset of the epoch, with all that waits."""
        is_start = isinstance(opening, Start)
        self.work.commit(
            "run_started" if is_start else "run_resumed",
            run=RunStatus(status="running", usage=self.work.usage),
            executor=self.executor,
            agent=agent.snapshot().model_copy(update={"registry": self.registry}),
            thread=opening.metadata if isinstance(opening, Start) else None,
        )


class Course(Protocol):
    """What happens in an epoch between its first and its last commit."""

    @property
    def output(self) -> JsonValue:
        """The run's output, once it has one."""
        ...

    def connected(self) -> AbstractAsyncContextManager[None]:
        """What is held open during the epoch."""
        ...

    async def open(self, opening: Start | Resume) -> None:
        """Commit the first changeset."""
        ...

    async def go(self) -> Termination:
        """Run until there is a reason to end."""
        ...

    async def interrupted(self, wait: Interruption) -> Termination:
        """The end of a run that was cancelled while it waited."""
        ...

    async def broken_off(self) -> Termination:
        """The end of a run that was cancelled together with the runtime around it."""
        ...

    def unless_continued(self, end: Termination) -> Termination | None:
        """The end, or the one that replaces it; None if the run continues because of new commands."""
        ...

    async def announce_end(self) -> None:
        """Tell the participants that the run ends or waits; what they do then belongs to the end."""
        ...

    def unanswered(self) -> Inference | None:
        """The model call that the run ends with, if it is not in the log yet."""
        ...


class Epoch:
    """One epoch of a run, from its first commit to its last."""

    def __init__(self, context: EpochContext, course: Course) -> None:
        self._context = context
        self._course = course
        self._work = context.work

    async def run(self, opening: Start | Resume) -> None:
        """Run to the end, whatever it is; the log says which.

        Raises:
            RunError, ContentError: it cannot start with this; nothing was written.
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
        """The end that a part of the run returned, or that its failure is."""
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
        """Commit the end, even while the run is being cancelled. Return whether it stands."""
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
                        # Nothing new: not the end is refused but the run's beginning, and all after it.
                        raise
            return False
        raise AssertionError("a shielded scope ends by itself")

    def _unless_cancelled(self, end: Termination) -> Termination:
        """The end: a cancellation that came meanwhile wins over it, unless something failed."""
        is_final = end.type in ("error", "cancelled")
        return Termination(type="cancelled") if self._context.mailbox.should_stop() and not is_final else end

    async def _commit_any_end(self, termination: Termination) -> None:
        try:
            await self._commit_end(termination)
        except ContentError as err:
            # What waited cannot be stored: the end must be, and says why. Nothing is added to it again.
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
