"""One epoch of a run: how it begins and comes to its end, whatever goes on in between (loop.py, a2a/loop.py).

    open -> go -> an end, unless the run goes on for what has come meanwhile -> go …

Every way out is an end in the log: what went wrong, what was cut off, what cannot be kept. A run ends over
nothing that was wanted of it and that it has not seen.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from anyio import CancelScope, get_cancelled_exc_class
from pydantic import JsonValue

from ...reducers.run import RunMoved, Status, done_reason
from ...store.changeset import Executor, Inference, Message, RunFacts, Termination, ThreadFacts
from ...store.errors import ContentError, LogError, VersionConflict, in_words
from ..agents import Registered
from ..commit import LOOP, Effects, Publisher, Workspace
from ..control import Control, Inbox, Interrupted, close_calls

log = logging.getLogger(__name__)

AgentT = TypeVar("AgentT", bound=Registered)


@dataclass(frozen=True, slots=True)
class Start:
    """A new run."""

    messages: Sequence[Message]
    facts: ThreadFacts | None = None
    state: Mapping[str, JsonValue] = field(default_factory=dict)
    """Set at the root of the thread's state, whatever it had there."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The next epoch of a run that waits, or was stopped. What was decided comes through `Control`."""

    usage: RunFacts
    messages: Sequence[Message] = ()


class Epoch(Generic[AgentT]):
    """One epoch of a run, from its first commit to its last."""

    def __init__(
        self,
        agent: AgentT,
        workspace: Workspace,
        effects: Effects,
        executor: Executor,
        publisher: Publisher,
        control: Control,
        registry: str,
    ) -> None:
        """`registry` is the fingerprint of what the agent comes from."""
        self._agent = agent
        self._registry = registry
        self._work = workspace
        self._effects = effects
        self._executor = executor
        self._publisher = publisher
        self._control = control
        self._inbox = Inbox(workspace, control)
        self._output: JsonValue = None
        self._prepare()

    def _prepare(self) -> None:
        """Make what else is needed from the first commit on."""
        raise NotImplementedError

    async def run(self, opening: Start | Resume) -> None:
        """Run to the end, however it comes; the log says which.

        Raises:
            RunError, ContentError: it cannot start with this; nothing was written.
        """
        try:
            end = await self._reached(self._open(opening))
            while not (end and await self._finished(end)):
                end = await self._reached(self._go())
        except get_cancelled_exc_class():
            if not self._publisher.failure and self._work.is_open:
                await self._finished(await self._broken_off())
            raise

    async def _open(self, opening: Start | Resume) -> None:
        """Put the beginning into the log."""
        raise NotImplementedError

    async def _go(self) -> Termination:
        """Go on until there is a reason to end."""
        raise NotImplementedError

    async def _cut_off(self, where: str) -> Termination:
        """The end of a run that was cancelled while it waited."""
        raise NotImplementedError

    async def _broken_off(self) -> Termination:
        """The end of a run that was cancelled with all that is around it."""
        raise NotImplementedError

    def _unless_wanted(self, termination: Termination) -> Termination | None:
        """The end; none if the run goes on for what has come."""
        raise NotImplementedError

    def _overtaken(self, end: Termination) -> Termination | None:
        """The end: a cancellation that has come meanwhile wins over it, unless something went wrong."""
        is_final = end.type in ("error", "cancelled")
        return Termination(type="cancelled") if self._control.should_stop() and not is_final else end

    async def _tell_end(self) -> None:
        """Tell whoever takes part that the run ends or waits; what is done then belongs to its end."""

    def _unanswered(self) -> Inference | None:
        """The model call that the run ends with, and that is not in the log yet."""
        return None

    async def _reached(self, way: Awaitable[Termination | None]) -> Termination | None:
        """The end of a part of the run, if it is one; what goes wrong on the way is one."""
        try:
            return await way
        except Interrupted as err:
            return await self._reached(self._cut_off(err.where))
        except Exception as err:
            if not self._work.is_open or isinstance(err, LogError):
                raise
            log.debug("run %s failed", self._work.identity.run_id, exc_info=True)
            return Termination(type="error", detail=in_words(err))

    def _commit_opening(self, opening: Start | Resume) -> None:
        self._work.commit(
            "run_started" if isinstance(opening, Start) else "run_resumed",
            run=self._facts("running"),
            executor=self._executor,
            agent=self._agent.facts().model_copy(update={"registry": self._registry}),
            thread=opening.facts if isinstance(opening, Start) else None,
        )

    async def _finished(self, termination: Termination) -> bool:
        """Whether the end stands: whole, even if the run is being cancelled."""
        with CancelScope(shield=True):
            while (wanted := self._unless_wanted(termination)) and (end := self._overtaken(wanted)):
                termination, heard = end, self._control.heard
                try:
                    await self._commit_an_end(termination)
                    return True
                except VersionConflict as err:
                    if err.thread_id != self._work.identity.stream:
                        raise
                    self._control.hear(err.between)
                    if self._control.heard == heard:
                        # Nothing new: not the end is refused but the run's beginning, and all behind it.
                        raise
            return False
        raise AssertionError("a shielded scope ends by itself")

    async def _commit_an_end(self, termination: Termination) -> None:
        try:
            await self._commit_end(termination)
        except ContentError as err:
            # What waited cannot be kept: the end must be, and says why. Nobody may add to it once more.
            self._work.discard()
            await self._commit_end(Termination(type="error", detail=str(err)), is_second=True)

    async def _commit_end(self, termination: Termination, *, is_second: bool = False) -> None:
        work, status = self._work, _status(termination)
        with work.attempt(is_whole=True):
            moved = RunMoved(run_id=work.identity.run_id, status=status, done_reason=done_reason(termination))
            work.act([moved], source=LOOP)
            if status == "done":
                (self._inbox.pass_over if is_second else self._inbox.take_in)("end")
                close_calls(work)
            if not is_second:
                await self._tell_end()
            await work.commit_end(
                "run_finished" if status == "done" else "run_suspended",
                run=self._facts(status, termination),
                inference=None if is_second else self._unanswered(),
            )

    def _facts(self, status: Status, termination: Termination | None = None) -> RunFacts:
        came_to_its_end = termination and termination.type in ("natural_end", "behavior_requested")
        return RunFacts(
            status=status,
            termination=termination,
            usage=self._work.usage,
            output=self._output if came_to_its_end else None,
        )


def _status(termination: Termination) -> Literal["waiting", "done"]:
    return "waiting" if termination.type == "suspended" else "done"
