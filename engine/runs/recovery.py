"""Recovery: finds the runs whose process died, and appends what the crash left unsaid (orphan.py: what).

    open, on demand, threadlog recover  ->  running, and its executor holds no lock  ->  `recovered`

One append, behind the last version of the run's thread: of many who recover a run at the same moment one
writes, and a run that is recovered is an orphan no more. Where the run is to go on, in a next epoch, it
waits first; whoever has its agent begins that, so a crash in between leaves it to the next one.

A run whose cancellation nobody has taken in is stopped, whatever the policy. A run of an agent that
`adopts_orphans` goes on elsewhere: it is resumed, by a runtime that has the agent, and left alone by others.
"""

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from ...reducers.open_calls import lost_calls
from ...reducers.replay import Thread, replay
from ...reducers.run import Way, goes_on_by_itself
from ...store.async_log import AsyncLog
from ...store.changeset import AgentFacts, Changeset, Orphan, control_stream
from ...store.errors import NotFound, RunError, ThreadlogError
from ...store.listing import RunRow
from ...store.log import Log
from ..agents import Registry
from ..commit import Effects, RunIdentity
from ..control import Recovering
from .dispatcher import LOST_RACES, Dispatch
from .launcher import Launcher
from .liveness import Liveness

log = logging.getLogger(__name__)

Orphans = Literal["stop", "ask", "resume", "leave"]
"""What becomes of runs whose process died when a runtime finds them; see orphan.py. `leave`: nothing."""


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
    agent: AgentFacts | None
    evidence: Orphan

    @property
    def is_adopted(self) -> bool:
        """Whether it goes on elsewhere."""
        return bool(self.agent and self.agent.specification.get("adopts_orphans"))

    def recovered(self, way: Way) -> Recovered:
        """As it is told."""
        return Recovered(self.row.run_id, self.row.thread_id, self.row.agent, way, self.evidence)


class Recovery:
    """Recovers the runs of one log."""

    def __init__(
        self,
        log: AsyncLog,
        effects: Effects,
        launcher: Launcher,
        dispatch: Dispatch,
        registry: Callable[[str], Registry],
        policy: Orphans,
    ) -> None:
        self._log = log
        self._effects = effects
        self._launcher = launcher
        self._dispatch = dispatch
        self._registry = registry
        self._policy = policy
        self._liveness = Liveness(log.log.path)

    async def at_open(self) -> None:
        """Recover all orphans, as the policy says."""
        if self._policy != "leave":
            await self.recover_all()

    async def recover_all(self) -> list[Recovered]:
        """Recover all orphans that this runtime may; one that cannot be is left, and a warning says why."""
        made = []
        for row in self._log.log.open_runs():
            try:
                if one := await self.recover(row.run_id):
                    made.append(one)
                await self._go_on(row.run_id)
            except ThreadlogError as err:
                log.warning("run %s is not recovered: %s", row.run_id, err)
        going = [row.executor for row in self._log.log.open_runs() if row.status == "running"]
        self._liveness.sweep({executor.id for executor in going if executor})
        return made

    async def recover_in_the_way(self, run_id: str) -> bool:
        """Recover a run whose thread another one wants, if its process died and the policy says what with it.

        Whether it was.
        """
        row = self._log.log.run(run_id)
        if row is None or self._policy == "leave" or not self.is_orphan(row):
            return False
        return await self.recover(run_id) is not None

    async def recover(self, run_id: str, *, force: bool = False) -> Recovered | None:
        """Recover a run: durable on return. None if it is no orphan, or left to a runtime with its agent.

        With `force` whoever executes it counts as dead.

        Raises:
            LogError: it cannot be read or written.
        """
        while True:
            found = await self._found(run_id, force=force)
            way = self._way(found) if found else None
            if found is None or way is None:
                return None
            # Otherwise somebody else was faster: with the same, or it is no orphan.
            with suppress(*LOST_RACES):
                await self._write(found, way)
                break
        if execution := self._launcher.of(run_id):
            execution.stop()
        await self._go_on(run_id)
        await self._dispatch.attend(run_id)
        return found.recovered(way)

    async def stop_orphan(self, run_id: str) -> None:
        """End a run that somebody wants to be over, if its process died."""
        row = self._log.log.run(run_id)
        if row and self.is_orphan(row):
            await self.recover(run_id)

    async def _found(self, run_id: str, *, force: bool) -> Found | None:
        while row := self._log.log.run(run_id):
            thread = replay(self._log.log.read(row.thread_id))
            # Read again: what it says is then no newer than the thread, if the thread has all of it.
            row = self._log.log.run(run_id) or row
            if row.status != "running" or not (force or self.is_orphan(row)):
                return None
            if row.last_version <= thread.version:
                return _found(self._log.log, row, thread)
        return None

    def is_orphan(self, row: RunRow) -> bool:
        """Whether nobody executes a run that goes on; nor does this runtime, which has lost it perhaps."""
        if row.status != "running" or self._launcher.of(row.run_id):
            return False
        executor = row.executor
        is_own = executor is not None and executor.id == self._launcher.executor.id
        return executor is None or is_own or not self._liveness.is_alive(executor.id)

    def _way(self, found: Found) -> Way | None:
        row = found.row
        has_agent = row.agent in self._registry(row.run_id)
        if found.is_adopted:
            return "resume" if has_agent else None
        if self._policy in ("stop", "leave") or self._is_cancelled(row):
            return "stop"
        if self._policy == "ask":
            return "ask"
        return "resume" if has_agent else None

    def _is_cancelled(self, row: RunRow) -> bool:
        wanted = self._log.log.read(control_stream(row.run_id), after=row.control)
        return any(each.entry and each.entry.kind == "cancel" for each in wanted)

    async def _write(self, found: Found, way: Way) -> None:
        row, heads = found.row, {}
        identity = RunIdentity(row.run_id, row.thread_id, row.epoch, row.parent_run_id)
        recovering = Recovering(identity, found.thread, self._effects, found.agent, found.evidence)
        match way:
            case "stop":
                control = self._dispatch.control(row.run_id, row.control)
                changeset, heads = recovering.stopped(control), {identity.stream: control.heard}
            case "ask":
                changeset = recovering.asking()
            case "resume":
                changeset = recovering.resuming(self._idempotent(row))
        await self._log.append(changeset, found.thread.version, heads=heads)

    def _idempotent(self, row: RunRow) -> Collection[str]:
        registry = self._registry(row.run_id)
        toolbox = self._launcher.equipped(registry.agent(row.agent or ""), registry).toolbox()
        return {name for name, tool in toolbox.items() if tool.is_idempotent}

    async def _go_on(self, run_id: str) -> None:
        """Begin the next epoch of a run that was recovered for that, if its agent is here."""
        row = self._log.log.run(run_id)
        if row is None or row.status != "waiting" or row.agent not in self._registry(run_id):
            return
        if goes_on_by_itself(row.termination):
            with suppress(*LOST_RACES, RunError):
                await self._dispatch.resume(row)


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
