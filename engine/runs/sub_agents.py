"""The status of the sub-agents of a thread: a view, computed from the log of each sub-agent on every read.

    running -> waiting | completed | failed | stopped        waiting, stopped -> running, in the next epoch

A sub-agent whose process died counts as running if another process will resume it without asking a person.
"""

from dataclasses import dataclass
from typing import Literal

from ...reducers.run import waits_for_process
from ...reducers.sub_agent import SubAgentRef
from ...reducers.tool_call import ToolCallState, pending_calls
from ...store.changeset import Termination, control_stream
from ...store.listing import RunRow
from ...store.log import Log

SubAgentStatus = Literal["running", "waiting", "completed", "failed", "stopped"]

_NEVER_STARTED = "it never started"
_ENDS: dict[str, SubAgentStatus] = {
    "natural_end": "completed",
    "behavior_requested": "completed",
    "error": "failed",
}


@dataclass(frozen=True, slots=True)
class SubAgent:
    """A run that an agent started from a thread."""

    run_id: str
    agent: str
    thread_id: str
    """The thread of the run. For a remote agent, the thread that mirrors its task."""

    parent_run_id: str
    """The run that last started or resumed it."""

    status: SubAgentStatus
    error: str | None = None
    """Why it failed or was stopped."""

    epoch: int = 0
    """Its current epoch; 0 before it starts."""

    pending: tuple[ToolCallState, ...] = ()
    """The calls that wait for a person, with their tickets. Pass its `run_id` to `decide` to answer them."""


def sub_agent(log: Log, run_id: str, ref: SubAgentRef) -> SubAgent:
    """Return a sub-agent with the status that its own log has now."""
    row = log.run(run_id)
    if row is None:
        return _not_started(log, run_id, ref)
    return SubAgent(
        run_id,
        ref.agent_id,
        row.thread_id,
        ref.parent_run_id,
        _status(row),
        _error(log, row),
        row.epoch,
        tuple(pending_calls(log.state(row.thread_id))) if row.status == "waiting" else (),
    )


def _not_started(log: Log, run_id: str, ref: SubAgentRef) -> SubAgent:
    """Return a sub-agent without a run: it is about to start, unless its parent no longer runs."""
    parent = log.run(ref.parent_run_id)
    is_starting = bool(parent and parent.status == "running")
    status: SubAgentStatus = "running" if is_starting else "stopped"
    problem = None if is_starting else _NEVER_STARTED
    return SubAgent(run_id, ref.agent_id, ref.thread_id, ref.parent_run_id, status, problem)


def _status(row: RunRow) -> SubAgentStatus:
    if row.status == "done":
        return _ENDS.get(row.termination.type, "stopped") if row.termination else "completed"
    needs_person = row.status == "waiting" and not waits_for_process(row.termination)
    return "waiting" if needs_person else "running"


def _error(log: Log, row: RunRow) -> str | None:
    if row.status != "done" or row.termination is None or _ENDS.get(row.termination.type) == "completed":
        return None
    return _cancel_reason(log, row) or _describe(row.termination)


def _cancel_reason(log: Log, row: RunRow) -> str | None:
    """Return the reason of the last cancel command that the run has read, if it was cancelled."""
    if row.termination is None or row.termination.type != "cancelled":
        return None
    commands = log.read(control_stream(row.run_id), until=row.control)
    reasons = [each.entry.content for each in commands if each.entry and each.entry.kind == "cancel"]
    return str(reasons[-1]) if reasons and reasons[-1] else None


def _describe(termination: Termination) -> str:
    return termination.detail or termination.code or termination.type
