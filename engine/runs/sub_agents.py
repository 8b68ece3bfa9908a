"""How the sub-agents of a thread are: a view of each one's own log, at the moment it is asked for.

running -> waiting | completed | failed | stopped        waiting, stopped -> running, in a next epoch

One whose process died and that is to go on counts as running, for it asks nothing.
"""

from dataclasses import dataclass
from typing import Literal

from ...reducers.run import goes_on_by_itself
from ...reducers.sub_agent import SubAgentRef
from ...reducers.tool_call import ToolCallState, pending
from ...store.changeset import Termination, control_stream
from ...store.listing import RunRow
from ...store.log import Log

Status = Literal["running", "waiting", "completed", "failed", "stopped"]

NEVER_BEGUN = "It never began"
_ENDS: dict[str, Status] = {"natural_end": "completed", "behavior_requested": "completed", "error": "failed"}


@dataclass(frozen=True, slots=True)
class SubAgent:
    """A run that an agent has started on behalf of a thread's run."""

    run_id: str
    agent: str
    thread_id: str
    """The thread it runs on; of a remote one, the thread that mirrors its task."""

    parent_run_id: str
    """The run that started it, or let it go on, last."""

    status: Status
    error: str | None = None
    """Why it failed, or who or what stopped it."""

    epoch: int = 0
    """0 while it has not begun."""

    pending: tuple[ToolCallState, ...] = ()
    """The calls that wait for a person, with their tickets: `decide` them for its `run_id`."""

    @property
    def is_open(self) -> bool:
        """Whether it goes on or waits."""
        return self.status in ("running", "waiting")


def sub_agent(log: Log, run_id: str, ref: SubAgentRef) -> SubAgent:
    """A sub-agent as its own log has it now."""
    row = log.run(run_id)
    if row is None:
        return _unbegun(log, run_id, ref)
    return SubAgent(
        run_id,
        ref.agent_id,
        row.thread_id,
        ref.parent_run_id,
        _status(row),
        _error(log, row),
        row.epoch,
        tuple(pending(log.state(row.thread_id))) if row.status == "waiting" else (),
    )


def _unbegun(log: Log, run_id: str, ref: SubAgentRef) -> SubAgent:
    """It is about to begin, unless the run that was about to start it is no more."""
    parent = log.run(ref.parent_run_id)
    is_coming = bool(parent and parent.status == "running")
    status: Status = "running" if is_coming else "stopped"
    problem = None if is_coming else NEVER_BEGUN
    return SubAgent(run_id, ref.agent_id, ref.thread_id, ref.parent_run_id, status, problem)


def _status(row: RunRow) -> Status:
    if row.status == "done":
        return _ENDS.get(row.termination.type, "stopped") if row.termination else "completed"
    is_asking = row.status == "waiting" and not goes_on_by_itself(row.termination)
    return "waiting" if is_asking else "running"


def _error(log: Log, row: RunRow) -> str | None:
    if row.status != "done" or row.termination is None or _ENDS.get(row.termination.type) == "completed":
        return None
    return _reason(log, row) or _in_words(row.termination)


def _reason(log: Log, row: RunRow) -> str | None:
    """Why it was cancelled, as whoever cancelled it last has put it: in its latest epoch."""
    if row.termination is None or row.termination.type != "cancelled":
        return None
    wanted = log.read(control_stream(row.run_id), until=row.control)
    reasons = [each.entry.content for each in wanted if each.entry and each.entry.kind == "cancel"]
    return str(reasons[-1]) if reasons and reasons[-1] else None


def _in_words(termination: Termination) -> str:
    return termination.detail or termination.code or termination.type
