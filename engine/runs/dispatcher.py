"""Who acts on what: entries go to the runs that go on here, waiting runs go on, queued ones get their turn.

A waiting run belongs to nobody: every runtime that is open on the log and has its agent lets it go on when
it was decided, and the first of them wins. The log itself says who was first.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from anyio import Event, create_task_group
from anyio.abc import TaskGroup

from ...reducers.reduce import Reducers
from ...reducers.replay import replay
from ...store.async_log import AsyncLog
from ...store.changeset import ControlEntry, Executor, Message, RunRequest
from ...store.errors import (
    ChangesetExists,
    LogError,
    LogUnavailable,
    RunError,
    RunOver,
    ThreadlogError,
    VersionConflict,
)
from ...store.listing import QueuedRow, RunRow
from ...store.log import POLL_SECONDS
from ..agents import Registry, RemoteAgent
from ..commit import Condition, Effects, LogJournal, RunIdentity, Workspace
from ..control import Control, ControlStream, cancel_waiting, superseded
from ..loop import Resume, Start
from .handle import Run
from .launcher import Execution, Launch, Launcher

log = logging.getLogger(__name__)

LOST_RACES = (VersionConflict, ChangesetExists)
"""Somebody else was faster, with the same or with something else."""


class Dispatch:
    """Follows the log for what concerns the runs that go on here, or may."""

    def __init__(
        self,
        log: AsyncLog,
        effects: Effects,
        executor: Executor,
        launcher: Launcher,
        registry: Callable[[str], Registry],
        keep: Callable[[str, Registry], object],
        handle: Callable[[str, str, str | None], Run],
    ) -> None:
        self._log = log
        self._effects = effects
        self._executor = executor
        self._launcher = launcher
        self._registry = registry
        """By run: the agents that are in force for it."""
        self._keep = keep
        """What a run goes on with here, it keeps."""
        self._handle = handle
        self._may_be_queued = True
        self._position: int | None = None
        """Up to where what is wanted was read; None while it was not."""
        self._missed: set[str] = set()
        """The runs to which nothing could be brought, as the log could not be read or written."""
        self._is_missing = Event()
        """Set when something is to be tried again: one of these, or the queue."""

    def stream(self, run_id: str) -> ControlStream:
        """The control stream of a run."""
        return ControlStream(self._log, self._effects, run_id)

    async def follow(self) -> None:
        """Act on what is wanted, from now on and what came while nobody was here. Without end.

        What cannot be done as the log cannot be read or written is tried again.
        """
        # Each run by itself: what is wanted of one must not wait for what another one waits for.
        async with create_task_group() as tasks:
            tasks.start_soon(self._try_again, tasks)
            while True:
                with suppress(LogError):
                    await self._follow(tasks)
                await self._effects.sleep(POLL_SECONDS)

    async def _follow(self, tasks: TaskGroup) -> None:
        if self._position is None:
            position = self._log.log.position()
            for row in self._log.log.open_runs():
                if row.status == "waiting" and self.stream(row.run_id).read(after=row.control):
                    tasks.start_soon(self.attend, row.run_id)
            self._position = position
        async with aclosing(self._log.changes()) as changes:
            async for _ in changes:
                for entry in self._log.log.wanted(self._position):
                    self._position, changeset = entry
                    self._may_be_queued |= bool(changeset.entry and changeset.entry.kind == "start")
                    tasks.start_soon(self.attend, changeset.run_id or "")
                self._stop_lost()
                self.start_queued()

    async def _try_again(self, tasks: TaskGroup) -> None:
        while True:
            await self._is_missing.wait()
            await self._effects.sleep(POLL_SECONDS)
            self._is_missing = Event()
            for run_id in tuple(self._missed):
                tasks.start_soon(self.attend, run_id)
            try:
                self.start_queued()
            except LogError:
                self._is_missing.set()

    async def attend(self, run_id: str) -> None:
        """Bring what is wanted of a run to it, if it goes on here or may; later, if it cannot be written."""
        try:
            await self._bring(run_id)
            self._missed.discard(run_id)
        except LogUnavailable as err:
            if run_id not in self._missed:
                log.warning("run %s cannot go on: %s", run_id, err)
            self._missed.add(run_id)
            self._is_missing.set()
        except ThreadlogError as err:
            log.debug("run %s does not go on here: %s", run_id, err)
            self._missed.discard(run_id)

    async def _bring(self, run_id: str) -> None:
        if execution := self._launcher.of(run_id):
            execution.control.hear(self.stream(run_id).read(after=execution.control.heard))
            if await self.is_going_on(execution):
                return
        row = self._log.log.run(run_id)
        if row and row.status == "waiting":
            await self._wake(row)

    async def is_going_on(self, execution: Execution) -> bool:
        """Whether a run that is executed here will take in what it is told, or nobody will any more."""
        run = execution.run
        with suppress(ThreadlogError):
            await run.started()
        row = self._log.log.run(run.run_id)
        if run.is_started and row and row.status == "running":
            return True
        if run.is_started and row and row.status == "done":
            # Perhaps by somebody else: then it does not end by itself, and must not be waited for.
            execution.stop()
            return True
        # It was refused, or where it begins to wait is in the log, and stands before what is wanted.
        await execution.over.wait()
        return False

    async def _wake(self, row: RunRow) -> None:
        entries = [each.entry for each in self.stream(row.run_id).read(after=row.control) if each.entry]
        registry, is_cancelled = self._registry(row.run_id), any(entry.kind == "cancel" for entry in entries)
        is_here = row.agent in registry
        if is_cancelled and not (is_here and isinstance(registry.agent(row.agent or ""), RemoteAgent)):
            await self.cancel_waiting(row)
        elif entries and is_here:
            # A remote run also where it is cancelled: its task waits, too, and is to be told.
            await self.resume(row)

    async def resume(self, row: RunRow, messages: Sequence[Message] = (), parent: str | None = None) -> Run:
        """Begin the next epoch of a run that waits, or was stopped; `parent` is who wants it now.

        Raises:
            RunError: its agent is not here, or a run goes on on its thread, or came behind it.
            VersionConflict, ChangesetExists: somebody else was faster.
        """
        thread = replay(self._log.log.read(row.thread_id))
        if row.run_id != list(thread.runs)[-1]:
            raise RunError(f"another run came behind run {row.run_id!r} on its thread: start a new one")
        execution = self._launcher.of(row.run_id)
        if execution and execution.epoch == row.epoch:
            # Its end is in the log: it is about to be over here, too.
            await execution.over.wait()
        if not self._launcher.is_free(row.thread_id, row.run_id):
            raise RunError(f"a run goes on on thread {row.thread_id!r}: wait for it")
        registry = self._registry(row.run_id)
        agent = registry.agent(row.agent or "")
        self._keep(row.run_id, registry)
        launch = Launch(
            _next(row, parent),
            agent,
            registry,
            Resume(thread.runs[row.run_id], messages),
            thread,
            self.control(row.run_id, row.control),
            condition=self.under(parent),
        )
        run = self._handle(row.run_id, row.thread_id, row.agent)
        await self._launcher.launch(launch, run)
        return run

    async def cancel_waiting(self, row: RunRow) -> None:
        """End a run that waits; nobody's agent is needed for that.

        Raises:
            VersionConflict, ChangesetExists: somebody else was faster.
        """
        thread = replay(self._log.log.read(row.thread_id))
        work = Workspace(LogJournal(self._log), self._effects, Reducers(), _next(row), thread)
        control = self.control(row.run_id, row.control)
        await cancel_waiting(work, control, thread.runs[row.run_id], self._executor)

    def superseding(self, launch: Launch, old: RunRow) -> Launch:
        """The launch of a run that takes the place of another one, which it ends with its first append."""
        control = self.control(old.run_id, old.control)
        identity = RunIdentity(old.run_id, old.thread_id, old.epoch, old.parent_run_id)
        end = superseded(identity, launch.thread, control, self._effects, by=launch.identity.run_id)
        thread = replay([end], base=launch.thread)
        condition = launch.condition.and_head(identity.stream, control.heard)
        return replace(launch, thread=thread, before=(end,), condition=condition)

    def under(self, parent: str | None) -> Condition:
        """What must hold when a run begins that another one wants: who cancels that one finds them all.

        Raises:
            RunOver: that one is cancelled.
        """
        if parent is None:
            return Condition()
        row, wanted = self._log.log.run(parent), self.stream(parent).read()
        taken = row.control if row else 0
        if any(each.entry and each.entry.kind == "cancel" for each in wanted[taken:]):
            raise RunOver(parent, "cancelled")
        return Condition({self.stream(parent).name: len(wanted)}, parent)

    def control(self, run_id: str, taken: int) -> Control:
        """The ear of a run, with what has come behind what was taken in."""
        control = Control(taken)
        control.hear(self.stream(run_id).read(after=taken))
        return control

    def _stop_lost(self) -> None:
        """What somebody else has ended must not go on here until it finds out by itself."""
        if not self._launcher.active:
            return
        going = {row.run_id for row in self._log.log.open_runs()}
        for execution in list(self._launcher.active.values()):
            if execution.run.is_started and execution.run.run_id not in going:
                execution.stop()

    def make_way(self, run: Run) -> None:
        """A run does not go on here any more: those that wait for its thread may."""
        try:
            if isinstance(run.refusal, LogError):
                # What has changed may have been seen while it was about to begin, and is not told again.
                self._is_missing.set()
            elif run.refusal is None or all(row.run_id != run.run_id for row in self._log.log.queued()):
                self.start_queued()
        except LogError:
            self._is_missing.set()

    def start_queued(self) -> None:
        """Start the first run of every queue whose thread is free, if its agent is here."""
        queued = self._log.log.queued() if self._may_be_queued else []
        self._may_be_queued = bool(queued)
        busy = {row.thread_id for row in self._log.log.open_runs()} if queued else set()
        for row in queued:
            if row.thread_id not in busy and self._launcher.is_free(row.thread_id, row.run_id):
                try:
                    self._start(row)
                except ThreadlogError as err:
                    log.debug("run %s does not start here: %s", row.run_id, err)
            # In their order: those behind it wait, whatever it waits for.
            busy.add(row.thread_id)

    def _start(self, row: QueuedRow) -> None:
        registry = self._registry(row.run_id)
        agent = registry.agent(row.agent)
        self._keep(row.run_id, registry)
        control = self.control(row.run_id, 0)
        if control.should_stop():
            # Cancelled since the queue was read: it is over, and never begins.
            return
        wanted = self._requested(row.run_id)
        thread = replay(self._log.log.read(row.thread_id))
        if other := thread.open_run():
            raise RunError(f"run {other!r} has the thread")
        identity = RunIdentity(row.run_id, row.thread_id, 1, row.parent_run_id)
        opening = Start(wanted.messages, wanted.facts, wanted.state)
        condition = Condition({identity.stream: control.heard})
        launch = Launch(identity, agent, registry, opening, thread, control, condition=condition)
        self._launcher.begin(launch, self._handle(row.run_id, row.thread_id, row.agent))

    def _requested(self, run_id: str) -> RunRequest:
        (entry,) = (each.entry for each in self._log.log.read(self.stream(run_id).name, until=1))
        if not (isinstance(entry, ControlEntry) and entry.start):
            raise RunError(f"run {run_id!r} was not asked for")
        return entry.start


def _next(row: RunRow, parent: str | None = None) -> RunIdentity:
    return RunIdentity(row.run_id, row.thread_id, row.epoch + 1, parent or row.parent_run_id)
