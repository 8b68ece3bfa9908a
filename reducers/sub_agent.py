"""The sub-agents of a thread: its state lists the runs that its agents have started. Pure.

The status of a sub-agent is not in this list. It is computed from its own changesets, so it is never stale.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ..store.patch import MISSING, find
from .reducer import Action, Reducer

SUB_AGENTS = "/sub_agents"


class SubAgentRef(BaseModel):
    """A reference to the run of a sub-agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_id: str
    thread_id: str
    """The thread of the run. For a remote agent, the thread that mirrors its task."""

    parent_run_id: str
    """The run that last started or resumed the sub-agent."""

    epoch: int
    """The epoch of the sub-agent's run that was started."""


class SubAgents(BaseModel):
    """The sub-agents that were started from a thread."""

    runs: dict[str, SubAgentRef] = {}
    """References by run id."""

    reported_epochs: dict[str, int] = {}
    """The last epoch of each run whose end, or wait, was reported to the agent of the thread."""


class StartSubAgent(Action):
    """A sub-agent is about to start, or to resume in a new epoch."""

    run_id: str
    agent_id: str
    thread_id: str
    parent_run_id: str
    epoch: int = 1


class ReportSubAgents(Action):
    """The ends or waits of these epochs, by run, were reported to the agent of the thread."""

    epochs: dict[str, int]


def _reduce(slice: SubAgents, action: StartSubAgent | ReportSubAgents) -> SubAgents:
    if isinstance(action, ReportSubAgents):
        return slice.model_copy(update={"reported_epochs": slice.reported_epochs | action.epochs})
    ref = SubAgentRef.model_validate(action.model_dump(exclude={"run_id"}))
    return slice.model_copy(update={"runs": slice.runs | {action.run_id: ref}})


SUB_AGENT_REDUCER = Reducer(
    "sub_agents", SubAgents, (StartSubAgent, ReportSubAgents), SUB_AGENTS, "thread", _reduce
)


def sub_agents_in(state: Any) -> SubAgents:
    """Return the sub-agents in a state."""
    found = find(state, SUB_AGENTS)
    return SubAgents() if found is MISSING else SubAgents.model_validate(found)
