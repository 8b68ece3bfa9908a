"""Routes commands to local runs, wakes waiting runs, starts queued ones.

A waiting run has no owner: every runtime that is open on the log and has its agent resumes it when it was
decided, and the first append wins.
"""

import logging
from contextlib import aclosing, suppress

from anyio import create_task_group
from anyio.abc import TaskGroup

from ...store.appender import changes
from ...store.errors import LogError, LogUnavailable, ThreadlogError
from ...store.following import POLL_SECONDS
from ...store.listing import RunRow
from ..agents import RemoteAgent
from .environment import Environment
from .execution import Execution
from .queued_runs import QueuedRuns
from .resuming import Resumer

log = logging.getLogger(__name__)


class Dispatcher:
    """Follows the log for what concerns the runs that are executed here, or may be."""

    def __init__(self, environment: Environment, resumer: Resumer, queue: QueuedRuns) -> None:
        self._env = environment
        self._resumer = resumer
        self._queue = queue
        self._position: int | None = None
        """Up to where commands were read; None before the first look."""
        self._missed: set[str] = set()
        """The runs that could not get their commands, as the log could not be read or written."""

    async def follow(self) -> None:
        """Act on commands, those that came before included. Endless.

        What fails because the log cannot be read or written is tried again.
        """
        # Each run in a task of its own: the commands of one must not wait for what another one waits for.
        async with create_task_group() as tasks:
            tasks.start_soon(self._start_when_free)
            tasks.start_soon(self._retry, tasks)
            while True:
                with suppress(LogError):
                    await self._follow(tasks)
                await self._env.effects.sleep(POLL_SECONDS)

    async def _follow(self, tasks: TaskGroup) -> None:
        if self._position is None:
            self._position = self._wake_decided(tasks)
        async with aclosing(changes(self._env.log)) as news:
            async for _ in news:
                for entry in self._env.log.commands_after(self._position):
                    self._position, changeset = entry
                    self._queue.notice(changeset.entry)
                    tasks.start_soon(self.attend, changeset.run_id or "")
                self._stop_lost()
                self._queue.start_due()

    def _wake_decided(self, tasks: TaskGroup) -> int:
        """Attend to the waiting runs that have commands. Return the position up to which that was done."""
        position = self._env.log.position()
        for row in self._env.log.open_runs():
            if row.status == "waiting" and self._env.stream(row.run_id).read(after=row.control):
                tasks.start_soon(self.attend, row.run_id)
        return position

    async def _start_when_free(self) -> None:
        while True:
            await self._env.wakeups.thread_free.wait()
            self._start_due()

    async def _retry(self, tasks: TaskGroup) -> None:
        while True:
            await self._env.wakeups.retry.wait()
            await self._env.effects.sleep(POLL_SECONDS)
            for run_id in tuple(self._missed):
                tasks.start_soon(self.attend, run_id)
            self._start_due()

    def _start_due(self) -> None:
        try:
            self._queue.start_due()
        except LogError:
            self._env.wakeups.retry.set()

    async def attend(self, run_id: str) -> None:
        """Deliver a run's commands if it is executed here or may be; later, if the log cannot be written."""
        try:
            await self._deliver(run_id)
            self._missed.discard(run_id)
        except LogUnavailable as err:
            if run_id not in self._missed:
                log.warning("run %s cannot continue: %s", run_id, err)
            self._missed.add(run_id)
            self._env.wakeups.retry.set()
        except ThreadlogError as err:
            log.debug("run %s does not continue here: %s", run_id, err)
            self._missed.discard(run_id)

    async def _deliver(self, run_id: str) -> None:
        if execution := self._env.executions.of(run_id):
            execution.mailbox.receive(self._env.stream(run_id).read(after=execution.mailbox.received))
            if await self.is_running(execution):
                return
        row = self._env.log.run(run_id)
        if row and row.status == "waiting":
            await self._wake(row)

    async def is_running(self, execution: Execution) -> bool:
        """Whether a run that is executed here will apply its commands, or no process will any more."""
        with suppress(ThreadlogError):
            await execution.opening.wait_until_durable()
        row = self._env.log.run(execution.run_id) if execution.opening.is_durable else None
        if row and row.status == "running":
            return True
        if row and row.status == "done":
            # Perhaps ended by another process: then it does not end by itself, and must not be waited for.
            execution.stop()
            return True
        # It was refused; or it waits, and its suspension is in the log before these commands.
        await execution.over.wait()
        return False

    async def _wake(self, row: RunRow) -> None:
        found = self._env.log.run_status(row.run_id)
        if found is None or found.commands <= row.control:
            return
        registry = self._env.agents.of(row.run_id)
        is_here = row.agent in registry
        is_remote = is_here and isinstance(registry.agent(row.agent or ""), RemoteAgent)
        if found.is_cancelled and not is_remote:
            await self._resumer.cancel_waiting(row)
        elif is_here:
            # A remote run also where it is cancelled: its task waits, too, and must be cancelled.
            await self._resumer.resume(row)

    def _stop_lost(self) -> None:
        """Stop the executions of runs that another process has ended."""
        if not (active := self._env.executions.active()):
            return
        running = {row.run_id for row in self._env.log.open_runs()}
        for execution in active:
            if execution.opening.is_durable and execution.run_id not in running:
                execution.stop()
