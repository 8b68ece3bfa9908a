"""Orphans: runs whose process died, and the evidence that the log has of the crash."""

from dataclasses import dataclass
from typing import Self

from ...reducers.open_calls import lost_calls
from ...reducers.replay import Thread, replay
from ...reducers.run import Way
from ...store.changeset import AgentSnapshot, Changeset, Orphan
from ...store.errors import NotFound
from ...store.listing import RunRow
from ...store.log import Log
from .liveness import Liveness


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run that was recovered, or would be."""

    run_id: str
    thread_id: str
    agent: str | None
    way: Way
    """`stop`: it is finished. `ask`: it waits for a person. `resume`: it continues where its agent is."""

    evidence: Orphan
    """The process that died, and the calls that it left unfinished."""


@dataclass(frozen=True, slots=True)
class OrphanRun:
    """A run whose process died, as the log has it."""

    row: RunRow
    thread: Thread
    agent: AgentSnapshot | None
    evidence: Orphan

    @classmethod
    def read(cls, log: Log, row: RunRow) -> Self:
        """Read the thread of an orphan, and with it the evidence of the crash."""
        thread = replay(log.read(row.thread_id))
        start = _changeset(log, row.thread_id, row.last_version)
        last = _changeset(log, row.thread_id, thread.version)
        lost = lost_calls(thread.state, thread.messages, row.run_id, start.agent)
        evidence = Orphan(executor=row.executor, version=last.version, at=last.at, calls=tuple(lost))
        return cls(row, thread, start.agent, evidence)

    @property
    def is_adopted(self) -> bool:
        """Whether it continues on another machine, without this process."""
        return self.agent is not None and self.agent.adopts_orphans

    def recovered(self, way: Way) -> Recovered:
        """Return the report on its recovery."""
        return Recovered(self.row.run_id, self.row.thread_id, self.row.agent, way, self.evidence)


def find_orphans(log: Log) -> list[OrphanRun]:
    """Return the runs of a log whose process died. Nothing is written."""
    liveness = Liveness(log.path)
    dead = [
        row
        for row in log.open_runs()
        if row.status == "running" and not (row.executor and liveness.is_alive(row.executor.id))
    ]
    found = [OrphanRun.read(log, row) for row in dead]
    # Leave out runs that were resumed or ended since they were listed.
    return [each for each in found if log.run(each.row.run_id) == each.row]


def _changeset(log: Log, thread_id: str, version: int) -> Changeset:
    found = next(log.read(thread_id, after=version - 1, until=version), None)
    if found is None:
        raise NotFound(f"thread {thread_id!r} has no version {version}")
    return found
