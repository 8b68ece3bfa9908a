"""Recovery: finds the runs whose process died, and appends what the crash left unsaid (control/crashed.py).

    open, on demand, threadlog recover  ->  running, and its executor holds no lock  ->  `recovered`

One append, after the last version of the run's thread: if many processes recover a run at the same moment,
one of them writes, and a recovered run is no orphan any more. A run that is to continue waits first, and a
runtime that has its agent begins the next epoch; a crash in between leaves that to the next runtime.

A run with an unread cancel command is stopped, whatever the policy. A run of an agent that `adopts_orphans`
is executed elsewhere: a runtime that has the agent resumes it, and the others leave it alone.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from ...reducers.open_calls import lost_calls
from ...reducers.replay import Thread, replay
from ...reducers.run import Way, goes_on_by_itself
from ...store.append import Append, Condition
from ...store.changeset import AgentSnapshot, Changeset, Executor, Orphan
from ...store.errors import ChangesetExists, NotFound, RunError, ThreadlogError, VersionConflict
from ...store.listing import RunRow
from ...store.log import Log
from ..commit import RunIdentity
from ..control import CrashedRun
from .dispatcher import Dispatcher
from .environment import Environment
from .liveness import Liveness
from .resuming import Resumer

log = logging.getLogger(__name__)

Orphans = Literal["stop", "ask", "resume", "leave"]
"""What becomes of runs whose process died; see control/crashed.py. `leave`: nothing."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run that was recovered; or would be."""

    run_id: str
    thread_id: str
    agent: str | None
    way: Way
    """`stop`: it is done. `ask`: a person decides. `resume`: it has gone on, or will where its agent is."""

    evidence: Orphan


@dataclass(frozen=True, slots=True)
class Found:
    """An orphan, as it was read."""

    row: RunRow
    thread: Thread
    agent: AgentSnapshot | None
    evidence: Orphan

    @property
    def is_adopted(self) -> bool:
        """Whether it goes on elsewhere."""
        return self.agent is not None and self.agent.adopts_orphans

    def recovered(self, way: Way) -> Recovered:
        """As it is told."""
        return Recovered(self.row.run_id, self.row.thread_id, self.row.agent, way, self.evidence)


class Recovery:
    """Recovers the runs of one log."""

    def __init__(
        self, environment: Environment, resumer: Resumer, dispatcher: Dispatcher, policy: Orphans
    ) -> None:
        self._env = environment
        self._log = environment.log
        self._resumer = resumer
        self._dispatcher = dispatcher
        self._policy = policy
        self._liveness = Liveness(environment.log.path)

    async def at_open(self) -> None:
        """Recover all orphans, as the policy says."""
        if self._policy != "leave":
            await self.recover_all()

    async def recover_all(self) -> list[Recovered]:
        """Recover all orphans that this runtime may; a warning says why one was left."""
        made = []
        for row in self._log.open_runs():
            try:
                if one := await self.recover(row.run_id):
                    made.append(one)
                await self._resume(row.run_id)
            except ThreadlogError as err:
                log.warning("run %s is not recovered: %s", row.run_id, err)
        running = [row.executor for row in self._log.open_runs() if row.status == "running"]
        self._liveness.sweep({executor.id for executor in running if executor})
        return made

    async def can_recover(self, run_id: str) -> bool:
        """Whether a run's process died and this runtime may say what becomes of it."""
        row = self._log.run(run_id)
        if row is None or self._policy == "leave" or not self.is_orphan(row):
            return False
        found = await self._found(run_id, force=False)
        return found is not None and self._way(found) is not None

    async def recover_one(self, run_id: str, *, force: bool) -> list[Recovered]:
        """Recover a run. Raises `NotFound`, and `RunError` if its process is alive and `force` is not set."""
        row = self._log.run(run_id)
        if row is None:
            raise NotFound(f"there is no run {run_id!r} in this log")
        if row.status == "running" and not force and not self.is_orphan(row):
            raise RunError(
                f"run {run_id!r} is executed by {_name_of(row.executor)}, which is alive: cancel it, "
                "or use force"
            )
        found = await self.recover(run_id, force=force)
        return [found] if found else []

    async def recover(self, run_id: str, *, force: bool = False) -> Recovered | None:
        """Recover a run: durable on return. None if it is no orphan, or left to a runtime with its agent.

        With `force` its process counts as dead.

        Raises:
            LogError: it cannot be read or written.
        """
        while True:
            found = await self._found(run_id, force=force)
            way = self._way(found) if found else None
            if found is None or way is None:
                return None
            # Otherwise another process was faster: with the same, or it is no orphan.
            with suppress(VersionConflict, ChangesetExists):
                await self._write(found, way)
                break
        if execution := self._env.executions.of(run_id):
            execution.stop()
        await self._resume(run_id)
        await self._dispatcher.attend(run_id)
        return found.recovered(way)

    async def stop_orphan(self, run_id: str) -> None:
        """End a cancelled run if its process died."""
        row = self._log.run(run_id)
        if row and self.is_orphan(row):
            await self.recover(run_id)

    async def _found(self, run_id: str, *, force: bool) -> Found | None:
        while row := self._log.run(run_id):
            thread = replay(self._log.read(row.thread_id))
            # Read again: what it says is then no newer than the thread, if the thread has all of it.
            row = self._log.run(run_id) or row
            if row.status != "running" or not (force or self.is_orphan(row)):
                return None
            if row.last_version <= thread.version:
                return _found(self._log, row, thread)
        return None

    def is_orphan(self, row: RunRow) -> bool:
        """Whether no process executes a running run; this one may have lost it."""
        if row.status != "running" or self._env.executions.of(row.run_id):
            return False
        executor = row.executor
        is_own = executor is not None and executor.id == self._env.executor.id
        return executor is None or is_own or not self._liveness.is_alive(executor.id)

    def _way(self, found: Found) -> Way | None:
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

    async def _write(self, found: Found, way: Way) -> None:
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
        """Begin the next epoch of a run that was recovered for that, if its agent is registered here."""
        row = self._log.run(run_id)
        if row is None or row.status != "waiting" or row.agent not in self._env.agents.of(run_id):
            return
        if goes_on_by_itself(row.termination):
            with suppress(VersionConflict, ChangesetExists, RunError):
                await self._resumer.resume(row)


def _name_of(executor: Executor | None) -> str:
    return f"process {executor.pid} on {executor.host}" if executor else "another process"


def orphans(log: Log) -> list[Found]:
    """The runs of a log whose process died; nothing is written."""
    liveness = Liveness(log.path)
    dead = [
        row
        for row in log.open_runs()
        if row.status == "running" and not (row.executor and liveness.is_alive(row.executor.id))
    ]
    found = [_found(log, row, replay(log.read(row.thread_id))) for row in dead]
    # One of them may be over, or go on, since it was listed.
    return [each for each in found if log.run(each.row.run_id) == each.row]


def _found(log: Log, row: RunRow, thread: Thread) -> Found:
    begun = _changeset(log, row.thread_id, row.last_version)
    last = _changeset(log, row.thread_id, thread.version)
    lost = lost_calls(thread.state, thread.messages, row.run_id, begun.agent)
    evidence = Orphan(executor=row.executor, version=last.version, at=last.at, calls=tuple(lost))
    return Found(row, thread, begun.agent, evidence)


def _changeset(log: Log, thread_id: str, version: int) -> Changeset:
    found = next(log.read(thread_id, after=version - 1, until=version), None)
    if found is None:
        raise NotFound(f"thread {thread_id!r} has no version {version}")
    return found
