"""Hand-off: another agent takes over the conversation, on the same thread and in the same run.

    the model calls agent_handoff -> requested -> active from the next inference, until the next hand-off

The agent that takes over brings its model, settings, tools and reducers. Its instructions follow those of the
run's own agent. Its behaviors are not used: the behaviors of the run's own agent apply to the whole run.
Calls made before the hand-off takes effect may only use the tools of the agent that made them.

The thread remembers the active agent across runs. A hand-off to the run's own agent ends the hand-off. So
does a run of an agent that has no agent of that name to hand over to.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ...reducers.reducer import Action, Reducer
from ...store.errors import DefinitionError
from ..agents import (
    FINAL_OUTPUT,
    AddContextMessage,
    AddMessage,
    Agent,
    Behavior,
    Block,
    Context,
    ExcludeTool,
    IncludeOnlyTools,
    OverrideInference,
    PhaseAction,
    State,
    Tool,
    ToolContext,
    ToolError,
    ToolResult,
)
from ..models import SETTINGS

HANDOFF = "/agent_handoff"
HANDOFF_TOOL = "agent_handoff"
TASK = "The task for the other agent, written as a user would write it."


class HandoffState(BaseModel):
    """The active agent of a thread, and a requested hand-off."""

    active_agent: str | None = None
    """The agent that has taken over. None is the run's own agent."""

    requested_agent: str | None = None
    """The agent that takes over at the next inference."""


class RequestHandoff(Action):
    """Request that an agent takes over at the next inference."""

    agent: str


class ActivateHandoff(Action):
    """Make an agent the active one. None is the run's own agent."""

    agent: str | None


def _reduce(slice: HandoffState, action: RequestHandoff | ActivateHandoff) -> HandoffState:
    if isinstance(action, RequestHandoff):
        return slice.model_copy(update={"requested_agent": action.agent})
    return HandoffState(active_agent=action.agent)


HANDOFF_REDUCER = Reducer(
    "handoff", HandoffState, (RequestHandoff, ActivateHandoff), HANDOFF, "thread", _reduce
)


class Handoff(Behavior):
    """Lets the model hand the conversation over to other agents and back.

    Raises:
        DefinitionError: two of the agents have the same name.
    """

    after = ("Permission",)
    """A call that the active agent may not make must be blocked, not suspended for approval."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = {agent.name: agent for agent in agents}
        if len(self._agents) < len(agents):
            raise DefinitionError("two agents to hand over to have the same name: rename one")
        self.settings = {agent.name: agent.snapshot().fingerprint for agent in agents}
        added = [tool for agent in agents for tool in agent.own_tools()]
        self._added_tools = frozenset(tool.name for tool in added)
        self.tools = (_handoff_tool(sorted(self._agents)), *added)
        self.reducers = (HANDOFF_REDUCER, *(reducer for agent in agents for reducer in agent.reducers))

    def before_inference(self, context: Context) -> Iterator[PhaseAction]:
        state = _handoff_state(context)
        active = state.requested_agent or state.active_agent
        if state.requested_agent:
            yield State(ActivateHandoff(agent=None if active == context.agent else active))
        agent = self._agent(active, context)
        if agent is None:
            yield from (ExcludeTool(name) for name in sorted(self._added_tools - set(context.tools)))
        else:
            yield from _overlay(agent)

    def before_tool_execute(self, context: Context) -> Block | None:
        assert context.call
        if context.decision:
            return None  # the call was checked when the model made it
        name = context.call.name
        agent = self._agent(_handoff_state(context).active_agent, context)
        if agent is None:
            is_allowed = name not in self._added_tools - set(context.tools)
        else:
            is_allowed = name in _tools_of(agent)
        speaker = agent.name if agent else context.agent
        return None if is_allowed else Block(f"The agent {speaker!r} has no tool {name!r}")

    def _agent(self, name: str | None, context: Context) -> Agent | None:
        """Return the agent that has taken over, or None for the run's own agent."""
        return None if name == context.agent else self._agents.get(name or "")


def _handoff_state(context: Context) -> HandoffState:
    return HandoffState.model_validate(context.read(HANDOFF, {}))


def _overlay(agent: Agent) -> Iterator[PhaseAction]:
    settings: dict[str, Any] = {name: agent.settings[name] for name in SETTINGS if name in agent.settings}
    yield OverrideInference(model=agent.model, fallbacks=tuple(agent.fallbacks), **settings)
    if agent.instructions:
        yield AddContextMessage("handoff_prompt", agent.instructions)
    yield IncludeOnlyTools(_tools_of(agent))


def _tools_of(agent: Agent) -> list[str]:
    """Return the tools of an agent that has taken over: its own, hand-off, and the structured output."""
    return [*(tool.name for tool in agent.own_tools()), HANDOFF_TOOL, FINAL_OUTPUT]


def _handoff_tool(names: Sequence[str]) -> Tool:
    targets = f"The agent that takes over: one of {', '.join(names)}, or the agent that began the run."

    async def agent_handoff(
        context: ToolContext,
        agent_id: Annotated[str, Field(description=targets)],
        message: Annotated[str | None, Field(description=TASK)] = None,
    ) -> ToolResult:
        """Hand the conversation over to another agent, which continues it from here."""
        if agent_id != context.agent and agent_id not in names:
            raise ToolError(f"unknown agent {agent_id!r}: hand over to one of {list(names)}")
        return ToolResult(
            {"status": "handoff_initiated", "target": agent_id},
            [RequestHandoff(agent=agent_id)],
            [AddMessage(message, "user", visibility="all")] if message else [],
        )

    return Tool(agent_handoff)
