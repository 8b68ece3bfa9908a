"""Recovers orphans: finds the runs whose process died, and appends what control/crashed.py defines for them.

    open, start, cancel, `recover`  ->  the run is running, and its executor holds no lock  ->  one append

The append requires the last version of the run's thread. If several processes recover a run at once, one of
them writes; after that the run is no orphan. A run that is to continue is made to wait, and a runtime that
has its agent begins its next epoch. After a crash in between, the next runtime does so.

A run with an unread cancel command is ended, whatever the policy. A run of an agent that `adopts_orphans`
continues on another machine: a runtime that has the agent resumes it, and all others leave it alone.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from typing import Literal

from ...reducers.run import Way, waits_for_process
from ...store.append import Append, Condition
from ...store.changeset import Executor
from ...store.errors import ChangesetExists, NotFound, RunError, ThreadlogError, VersionConflict
from ...store.listing import RunRow
from ..commit import RunIdentity
from ..control import CrashedRun
from .dispatcher import Dispatcher
from .environment import Environment
from .liveness import Liveness
from .orphans import OrphanRun, Recovered
from .resuming import Resumer

log = logging.getLogger(__name__)

OrphanPolicy = Literal["stop", "ask", "resume", "leave"]
"""What happens to runs whose process died; `leave` changes nothing. See control/crashed.py."""


class Recovery:
    """Recovers the runs of one log."""

    def __init__(
        self,
        environment: Environment,
        liveness: Liveness,
        resumer: Resumer,
        dispatcher: Dispatcher,
        policy: OrphanPolicy,
    ) -> None:
        self._env = environment
        self._log = environment.log
        self._liveness = liveness
        self._resumer = resumer
        self._dispatcher = dispatcher
        self._policy = policy

    async def recover_at_open(self) -> None:
        """Recover all orphans, unless the policy leaves them alone."""
        if self._policy != "leave":
            await self.recover_all()

    async def recover_all(self) -> list[Recovered]:
        """Recover all orphans that this runtime may recover. Log a warning for each that fails."""
        recovered = []
        for row in self._log.open_runs():
            try:
                if one := await self.recover(row.run_id):
                    recovered.append(one)
                await self._resume(row.run_id)
            except ThreadlogError as err:
                log.warning("run %s is not recovered: %s", row.run_id, err)
        running = [row.executor for row in self._log.open_runs() if row.status == "running"]
        self._liveness.sweep({executor.id for executor in running if executor})
        return recovered

    def can_recover(self, run_id: str) -> bool:
        """Return whether a run is an orphan that this runtime may recover."""
        if self._policy == "leave":
            return False
        found = self._read_orphan(run_id, force=False)
        return found is not None and self._way(found) is not None

    async def recover_one(self, run_id: str, *, force: bool) -> list[Recovered]:
        """Recover a run at a user's request.

        Raises:
            NotFound: there is no such run.
            RunError: a live process executes it, and `force` is not set.
        """
        row = self._log.run(run_id)
        if row is None:
            raise NotFound(f"there is no run {run_id!r} in this log")
        if row.status == "running" and not force and not self.is_orphan(row):
            raise RunError(
                f"run {run_id!r} is executed by {_describe(row.executor)}, which is alive: cancel the run, "
                "or take it over with force"
            )
        found = await self.recover(run_id, force=force)
        return [found] if found else []

    async def recover(self, run_id: str, *, force: bool = False) -> Recovered | None:
        """Recover a run: durable on return. None if it is no orphan, or only a runtime with its agent may.

        With `force` its process counts as dead.

        Raises:
            LogError: the log cannot be read or written.
        """
        while True:
            found = self._read_orphan(run_id, force=force)
            way = self._way(found) if found else None
            if found is None or way is None:
                return None
            # On a conflict, read again: another process has recovered the run, or its own process appended.
            with suppress(VersionConflict, ChangesetExists):
                await self._write(found, way)
                break
        if execution := self._env.executions.of(run_id):
            execution.stop()
        await self._resume(run_id)
        await self._dispatcher.dispatch(run_id)
        return found.recovered(way)

    async def stop_orphan(self, run_id: str) -> None:
        """Recover a cancelled run if its process died, which ends it."""
        row = self._log.run(run_id)
        if row and self.is_orphan(row):
            await self.recover(run_id)

    def _read_orphan(self, run_id: str, *, force: bool) -> OrphanRun | None:
        """Return a run if it is an orphan; with `force`, if it is running."""
        while (row := self._log.run(run_id)) and row.status == "running" and (force or self.is_orphan(row)):
            orphan = OrphanRun.read(self._log, row)
            # The row must describe the thread as it was read: check that the run has not changed since.
            if self._log.run(run_id) == row:
                return orphan
        return None

    def is_orphan(self, row: RunRow) -> bool:
        """Return whether a run is running and no process executes it. This process may have lost it."""
        if row.status != "running" or self._env.executions.of(row.run_id):
            return False
        executor = row.executor
        is_own = executor is not None and executor.id == self._env.executor.id
        return executor is None or is_own or not self._liveness.is_alive(executor.id)

    def _way(self, found: OrphanRun) -> Way | None:
        row = found.row
        has_agent = row.agent in self._env.agents.of(row.run_id)
        if found.is_adopted:
            return "resume" if has_agent else None
        if self._policy in ("stop", "leave") or self._is_cancelled(row):
            return "stop"
        if self._policy == "ask":
            return "ask"
        return "resume" if has_agent else None

    def _is_cancelled(self, row: RunRow) -> bool:
        found = self._log.run_status(row.run_id)
        return found is not None and found.is_cancelled

    async def _write(self, found: OrphanRun, way: Way) -> None:
        row, condition = found.row, Condition()
        identity = RunIdentity(row.run_id, row.thread_id, row.epoch, row.parent_run_id)
        crashed = CrashedRun(identity, found.thread, self._env.effects, found.agent, found.evidence)
        match way:
            case "stop":
                mailbox = self._env.mailbox(row.run_id, row.control)
                changeset = crashed.stop(mailbox)
                condition = Condition({identity.stream: mailbox.received})
            case "ask":
                changeset = crashed.ask()
            case "resume":
                changeset = crashed.resume(self._idempotent(row))
        append = Append.encoded([changeset], found.thread.version, condition)
        await self._env.appender.submit(append).result()

    def _idempotent(self, row: RunRow) -> Collection[str]:
        agent = self._env.agents.equip(row.agent or "", self._env.agents.of(row.run_id))
        return {name for name, tool in agent.toolbox().items() if tool.is_idempotent}

    async def _resume(self, run_id: str) -> None:
        """Begin the next epoch of a run that was recovered to continue, if its agent is registered here."""
        row = self._log.run(run_id)
        if row is None or row.status != "waiting" or row.agent not in self._env.agents.of(run_id):
            return
        if waits_for_process(row.termination):
            with suppress(VersionConflict, ChangesetExists, RunError):
                await self._resumer.resume(row)


def _describe(executor: Executor | None) -> str:
    return f"process {executor.pid} on {executor.host}" if executor else "another process"
