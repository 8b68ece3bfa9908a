"""One epoch of a run: how it begins and ends, whatever its course (agent_loop.py, remote_loop.py).

    open -> run -> an end, unless new commands let the run continue -> run ...

Every epoch that has begun gets its end in the log: after a failure, after an interruption, and if the first
attempt to write the end cannot be stored. A run cannot finish with unread commands.
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
    """The workspace, effects, mailbox and other resources of one epoch."""

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
        """Commit the first changeset of the epoch, with all uncommitted changes."""
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

    def connect(self) -> AbstractAsyncContextManager[None]:
        """Return the context that holds the connection of the epoch open."""
        ...

    async def open(self, opening: Start | Resume) -> None:
        """Commit the first changeset."""
        ...

    async def run(self) -> Termination:
        """Run, and return the reason to end."""
        ...

    async def end_interrupted(self, wait: Interruption) -> Termination:
        """Return the end of a run that was cancelled during a wait."""
        ...

    async def end_cancelled(self) -> Termination:
        """Return the end of a run whose runtime is closing."""
        ...

    def confirm_end(self, end: Termination) -> Termination | None:
        """Return the end, possibly a different one; None if new commands let the run continue."""
        ...

    async def announce_end(self) -> None:
        """Let behaviors react to the end or the suspension, within the last changeset."""
        ...

    def unlogged_inference(self) -> Inference | None:
        """Return the model call that is not in the log yet, if there is one."""
        ...


class Epoch:
    """One epoch of a run, from its first commit to its last."""

    def __init__(self, context: EpochContext, course: Course) -> None:
        self._context = context
        self._course = course
        self._work = context.work

    async def run(self, opening: Start | Resume) -> None:
        """Run the epoch and commit its end.

        Raises:
            RunError, ContentError: the run cannot start like this; nothing was written.
        """
        async with self._course.connect():
            try:
                end = await self._run_part(self._course.open(opening))
                while not (end and await self._finish(end)):
                    end = await self._run_part(self._course.run())
            except get_cancelled_exc_class():
                if not self._context.channel.failure and self._work.is_open:
                    end = await self._run_part(self._course.end_cancelled())
                    await self._finish(end or Termination(type="cancelled"))
                raise

    async def _run_part(self, part: Awaitable[Termination | None]) -> Termination | None:
        """Await a part of the epoch. Return the end that it returned, or the end for its error."""
        try:
            return await part
        except Interrupted as err:
            return await self._run_part(self._course.end_interrupted(err.wait))
        except Exception as err:
            if not self._work.is_open or isinstance(err, LogError):
                raise
            log.debug("run %s failed", self._work.identity.run_id, exc_info=True)
            return Termination(type="error", detail=in_words(err))

    async def _finish(self, termination: Termination) -> bool:
        """Commit the end, even while the run is being cancelled. Return False if the run continues."""
        mailbox = self._context.mailbox
        with CancelScope(shield=True):
            while end := self._course.confirm_end(termination):
                termination, received = self._prefer_cancellation(end), mailbox.received
                try:
                    await self._commit_end_or_error(termination)
                    return True
                except VersionConflict as err:
                    if err.thread_id != self._work.identity.stream:
                        raise
                    mailbox.receive(err.between)
                    if mailbox.received == received:
                        # There are no new commands: the conflict concerns the start of the run, not its end.
                        raise
            return False
        raise AssertionError("a shielded scope ends by itself")

    def _prefer_cancellation(self, end: Termination) -> Termination:
        """Return the end, or a cancellation if the run was cancelled meanwhile. An error stays an error."""
        is_final = end.type in ("error", "cancelled")
        return Termination(type="cancelled") if self._context.mailbox.should_stop() and not is_final else end

    async def _commit_end_or_error(self, termination: Termination) -> None:
        try:
            await self._commit_end(termination)
        except ContentError as err:
            # An uncommitted change cannot be stored. Drop all of them, and commit an end that says why.
            self._work.discard()
            await self._commit_end(Termination(type="error", detail=str(err)), is_fallback=True)

    async def _commit_end(self, termination: Termination, *, is_fallback: bool = False) -> None:
        work, status = self._work, _status(termination)
        with work.undo_on_error(keep_effects=False):
            moved = MoveRun(run_id=work.identity.run_id, status=status, done_reason=done_reason(termination))
            work.act([moved], source=LOOP)
            if status == "done":
                if is_fallback:
                    self._context.inbox.skip("end")
                else:
                    self._context.inbox.apply("end")
                close_calls(work)
            if not is_fallback:
                await self._course.announce_end()
            await work.commit_end(
                "run_finished" if status == "done" else "run_suspended",
                run=self._run_status(status, termination),
                inference=None if is_fallback else self._course.unlogged_inference(),
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
