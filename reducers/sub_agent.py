"""The sub-agents of a thread in its state: which runs its agents have started, and where they are. Pure.

How each of them is, is not kept here: its own log says it, so it cannot be out of date.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ..store.patch import MISSING, find
from .reducer import Action, Reducer

SUB_AGENTS = "/sub_agents"


class SubAgentRef(BaseModel):
    """Where a sub-agent is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_id: str
    thread_id: str
    """The thread it runs on; of a remote one, the thread that mirrors its task."""

    parent_run_id: str
    """The run that started it, or let it go on, last."""

    epoch: int
    """Of the sub-agent's run: the one that this began."""


class SubAgents(BaseModel):
    """What a thread knows of the runs that were started from it."""

    runs: dict[str, SubAgentRef] = {}
    """By run."""

    told: dict[str, int] = {}
    """By run: the last epoch of which the thread's agent was told that it had ended, or waits."""


class SubAgentStarted(Action):
    """A run is about to begin, or to go on in a next epoch."""

    run_id: str
    agent_id: str
    thread_id: str
    parent_run_id: str
    epoch: int = 1


class SubAgentsTold(Action):
    """The thread's agent is told of the ends of epochs, by run."""

    epochs: dict[str, int]


def _reduce(slice: SubAgents, action: SubAgentStarted | SubAgentsTold) -> SubAgents:
    if isinstance(action, SubAgentsTold):
        return slice.model_copy(update={"told": slice.told | action.epochs})
    ref = SubAgentRef.model_validate(action.model_dump(exclude={"run_id"}))
    return slice.model_copy(update={"runs": slice.runs | {action.run_id: ref}})


SUB_AGENT_REDUCER = Reducer(
    "sub_agents", SubAgents, (SubAgentStarted, SubAgentsTold), SUB_AGENTS, "thread", _reduce
)


def sub_agents_in(state: Any) -> SubAgents:
    """What a state knows of sub-agents."""
    found = find(state, SUB_AGENTS)
    return SubAgents() if found is MISSING else SubAgents.model_validate(found)
