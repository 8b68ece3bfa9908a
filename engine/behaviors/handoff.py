"""Handing a conversation over to another agent: same thread, same run, other model, prompt and tools.

    agent_handoff -> requested -> at the next inference: active, until the next hand-off

The agent that takes over brings its model, settings, tools and reducers, and its instructions behind those
of the run's own agent. Its behaviors stay out: those of the run's agent watch over all that happens. What
was called before the hand-off took effect is held to the tools of the agent that called it.

The thread keeps who is active across runs. Handing over to the run's own agent is the way back; so is a
run of an agent that knows nobody of that name.
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
TASK = "What the other agent shall do, in the words of a user."


class HandoffState(BaseModel):
    """Who speaks on a thread."""

    active_agent: str | None = None
    """None is the run's own agent."""

    requested_agent: str | None = None
    """Who takes over at the next inference, if anybody."""


class RequestHandoff(Action):
    """Let an agent take over at the next inference."""

    agent: str


class ActivateHandoff(Action):
    """The agent takes over now; None is the run's own."""

    agent: str | None


def _reduce(slice: HandoffState, action: RequestHandoff | ActivateHandoff) -> HandoffState:
    if isinstance(action, RequestHandoff):
        return slice.model_copy(update={"requested_agent": action.agent})
    return HandoffState(active_agent=action.agent)


HANDOFF_REDUCER = Reducer(
    "handoff", HandoffState, (RequestHandoff, ActivateHandoff), HANDOFF, "thread", _reduce
)


class Handoff(Behavior):
    """Lets the model hand the conversation over to one of the agents, and back.

    Raises:
        DefinitionError: two of the agents have the same name.
    """

    after = ("Permission",)
    """What the active agent may not call must not be put before a person first."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = {agent.name: agent for agent in agents}
        if len(self._agents) < len(agents):
            raise DefinitionError("two agents to hand over to have the same name")
        self.settings = {agent.name: agent.facts().fingerprint for agent in agents}
        brought = [tool for agent in agents for tool in agent.own_tools()]
        self._brought = frozenset(tool.name for tool in brought)
        self.tools = (_handoff_tool(sorted(self._agents)), *brought)
        self.reducers = (HANDOFF_REDUCER, *(reducer for agent in agents for reducer in agent.reducers))

    def before_inference(self, context: Context) -> Iterator[PhaseAction]:
        state = _state(context)
        active = state.requested_agent or state.active_agent
        if state.requested_agent:
            yield State(ActivateHandoff(agent=None if active == context.agent else active))
        agent = self._agent(active, context)
        if agent is None:
            yield from (ExcludeTool(name) for name in sorted(self._brought - set(context.tools)))
        else:
            yield from _overlay(agent)

    def before_tool_execute(self, context: Context) -> Block | None:
        assert context.call
        if context.decision:
            return None  # it was held to the agent that made it, when that made it
        name = context.call.name
        agent = self._agent(_state(context).active_agent, context)
        if agent is None:
            is_allowed = name not in self._brought - set(context.tools)
        else:
            is_allowed = name in _tools_of(agent)
        speaker = agent.name if agent else context.agent
        return None if is_allowed else Block(f"The agent {speaker!r} has no tool {name!r}")

    def _agent(self, name: str | None, context: Context) -> Agent | None:
        """The agent that took over; None if it is the run's own."""
        return None if name == context.agent else self._agents.get(name or "")


def _state(context: Context) -> HandoffState:
    return HandoffState.model_validate(context.read(HANDOFF, {}))


def _overlay(agent: Agent) -> Iterator[PhaseAction]:
    settings: dict[str, Any] = {name: agent.settings[name] for name in SETTINGS if name in agent.settings}
    yield OverrideInference(model=agent.model, fallbacks=tuple(agent.fallbacks), **settings)
    if agent.instructions:
        yield AddContextMessage("handoff_prompt", agent.instructions)
    yield IncludeOnlyTools(_tools_of(agent))


def _tools_of(agent: Agent) -> list[str]:
    """What the agent may call when it has taken over: its own tools, and how to get on from there."""
    return [*(tool.name for tool in agent.own_tools()), HANDOFF_TOOL, FINAL_OUTPUT]


def _handoff_tool(names: Sequence[str]) -> Tool:
    targets = f"Who takes over: one of {', '.join(names)}, or the agent that the run began with."

    async def agent_handoff(
        context: ToolContext,
        agent_id: Annotated[str, Field(description=targets)],
        message: Annotated[str | None, Field(description=TASK)] = None,
    ) -> ToolResult:
        """Hand the conversation over to another agent, who goes on from here."""
        if agent_id != context.agent and agent_id not in names:
            raise ToolError(f"there is no agent {agent_id!r} to hand over to; there are {list(names)}")
        return ToolResult(
            {"status": "handoff_initiated", "target": agent_id},
            [RequestHandoff(agent=agent_id)],
            [AddMessage(message, "user", visibility="all")] if message else [],
        )

    return Tool(agent_handoff)
