"""Routes commands to local runs, wakes waiting runs, starts queued ones.

No process owns a waiting run. When it is decided, every open runtime that has its agent tries to resume it,
and the first append wins.
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
    """Follows the log, and acts on what concerns the runs that this runtime executes or could execute."""

    def __init__(self, environment: Environment, resumer: Resumer, queue: QueuedRuns) -> None:
        self._env = environment
        self._resumer = resumer
        self._queue = queue
        self._position: int | None = None
        """The log position up to which commands were read; None before the first read."""
        self._missed: set[str] = set()
        """Runs whose commands were not dispatched, because the log could not be read or written."""

    async def follow(self) -> None:
        """Act on commands, including earlier ones. Endless.

        Work that fails because the log cannot be read or written is tried again.
        """
        # One task per run: the commands of one run must not wait for another run.
        async with create_task_group() as tasks:
            tasks.start_soon(self._start_when_free)
            tasks.start_soon(self._retry, tasks)
            while True:
                with suppress(LogError):
                    await self._follow(tasks)
                await self._env.effects.sleep(POLL_SECONDS)

    async def _follow(self, tasks: TaskGroup) -> None:
        if self._position is None:
            self._position = self._dispatch_waiting(tasks)
        async with aclosing(changes(self._env.log)) as news:
            async for _ in news:
                for entry in self._env.log.commands_after(self._position):
                    self._position, changeset = entry
                    self._queue.notice(changeset.entry)
                    tasks.start_soon(self.dispatch, changeset.run_id or "")
                self._stop_ended()
                self._queue.start_due()

    def _dispatch_waiting(self, tasks: TaskGroup) -> int:
        """Dispatch the commands of all waiting runs up to a log position, and return it."""
        position = self._env.log.position()
        for row in self._env.log.open_runs():
            if row.status == "waiting":
                tasks.start_soon(self.dispatch, row.run_id)
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
                tasks.start_soon(self.dispatch, run_id)
            self._start_due()

    def _start_due(self) -> None:
        try:
            self._queue.start_due()
        except LogError:
            self._env.wakeups.retry.set()

    async def dispatch(self, run_id: str) -> None:
        """Deliver a run's commands, or resume it if it waits; later, if the log is unavailable."""
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
        """Wait until the log has or refuses an epoch. Return whether its run is running after that."""
        with suppress(ThreadlogError):
            await execution.opening.wait_until_durable()
        row = self._env.log.run(execution.run_id) if execution.opening.is_durable else None
        if row and row.status == "running":
            return True
        if row and row.status == "done":
            # If another process ended the run, this execution does not finish by itself: do not wait for it.
            execution.stop()
        else:
            # It was refused, or the run began to wait.
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
            # A cancelled remote run resumes as well: its remote task waits, and must be cancelled too.
            await self._resumer.resume(row)

    def _stop_ended(self) -> None:
        """Stop the executions of runs that another process has ended."""
        if not (active := self._env.executions.active()):
            return
        running = {row.run_id for row in self._env.log.open_runs()}
        for execution in active:
            if execution.opening.is_durable and execution.run_id not in running:
                execution.stop()
