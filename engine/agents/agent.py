"""Agents: values that say how a run goes. Running one is the runtime's work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel

from ...reducers.reduce import Reducers
from ...reducers.reducer import Reducer
from ...store.changeset import AgentFacts
from ...store.document import dumps
from ...store.errors import DefinitionError
from ..models import Model, ProviderModel, RetryPolicy
from .behavior import Behavior
from .behavior_order import ordered
from .output import OutputTool
from .stop_policy import MaxRounds, StopPolicy
from .tool import Tool

ToolExecution = Literal["sequential", "parallel", "parallel_batch_approval"]


@dataclass(frozen=True)
class Agent:
    """A name, a model, and what the model may do. Plain functions among the tools become tools.

    Raises:
        DefinitionError: two tools, behaviors or reducers have the same name, or the model is none.
    """

    name: str
    model: Model | str
    """A model, or the name of one: `openai:gpt-5`, `anthropic:claude-…`."""

    instructions: str = ""
    tools: Sequence[Tool | Callable[..., Any]] = ()
    behaviors: Sequence[Behavior] = ()
    reducers: Sequence[Reducer] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """For the model: `temperature`, `max_tokens`, `top_p`, `reasoning_effort`."""

    fallbacks: Sequence[Model | str] = ()
    """Models to ask when the first does not answer."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tool_execution: ToolExecution = "parallel"
    """How the calls of one turn are made: see `round.py`."""

    max_rounds: int = 10
    """Of model and tools in one run; 0 is no limit."""

    stop_when: Sequence[StopPolicy] = ()
    """Asked in order when a round is complete, behind `max_rounds`."""

    output_type: type[BaseModel] | None = None
    """What a run's output is an instance of; without it the output is the text of the last answer."""

    agents: Sequence[str] = ()
    """Names of agents that may work for it, or take over: of those that are there when a run starts."""

    description: str = ""
    """What it is good for, as other agents read it."""

    adopts_orphans: ClassVar[bool] = False
    """Whether its runs are executed elsewhere and only followed here: one whose process died is never
    stopped, but followed on by the next runtime that has the agent."""

    _providers: dict[str, ProviderModel] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model | str):
            raise DefinitionError(
                f"the model of agent {self.name!r} has no name and stream(): {self.model!r}"
            )
        if self.tool_execution not in get_args(ToolExecution):
            raise DefinitionError(
                f"the tool execution of agent {self.name!r} is one of {get_args(ToolExecution)}, "
                f"not {self.tool_execution!r}"
            )
        _unique("tools", self.name, [tool.name for tool in self._tools])
        _unique("behaviors", self.name, [behavior.name for behavior in self.behaviors])
        ordered(self.behaviors)
        Reducers(self.all_reducers())

    @cached_property
    def _own_tools(self) -> tuple[Tool, ...]:
        return tuple(given if isinstance(given, Tool) else Tool(given) for given in self.tools)

    @cached_property
    def _tools(self) -> tuple[Tool, ...]:
        made = list(self._own_tools)
        for tool in (tool for behavior in self.behaviors for tool in behavior.tools):
            # The same function may come from several sides: the agent's own comes first.
            if all(tool.function is not known.function for known in made):
                made.append(tool)
        return (*made, OutputTool(self.output_type)) if self.output_type else tuple(made)

    def own_tools(self) -> tuple[Tool, ...]:
        """The tools it was given itself, those aside that its behaviors bring."""
        return self._own_tools

    def model_named(self, model: Model | str) -> Model:
        """A model as it is; a name as the provider's model, the same one whenever it is asked for."""
        if not isinstance(model, str):
            return model
        if model not in self._providers:
            self._providers[model] = ProviderModel(model)
        return self._providers[model]

    def models(self) -> list[Model]:
        """The agent's model, and its fallbacks.

        Raises:
            DefinitionError: a name is not a provider's, or its extra is not installed.
        """
        return [self.model_named(model) for model in (self.model, *self.fallbacks)]

    def toolbox(self) -> dict[str, Tool]:
        """The tools by name: a dictionary of the caller's own."""
        return {tool.name: tool for tool in self._tools}

    def policies(self) -> tuple[StopPolicy, ...]:
        """What may stop a run of this agent, in the order of asking."""
        own = (MaxRounds(self.max_rounds),) if self.max_rounds else ()
        return (*own, *self.stop_when)

    def all_reducers(self) -> tuple[Reducer, ...]:
        """The agent's own reducers, and those that its behaviors bring."""
        brought = [reducer for behavior in self.behaviors for reducer in behavior.reducers]
        return tuple(dict.fromkeys((*self.reducers, *brought)))

    def facts(self) -> AgentFacts:
        """The specification in force, with its fingerprint: equal specifications have equal ones."""
        specification: dict[str, Any] = {
            "model": _named(self.model),
            "fallbacks": [_named(model) for model in self.fallbacks],
            "instructions": self.instructions,
            "settings": dict(self.settings),
            "tools": [asdict(tool.spec()) for tool in self._tools],
            "tool_execution": self.tool_execution,
            "behaviors": [
                {"name": behavior.name, "settings": dict(behavior.settings)} for behavior in self.behaviors
            ],
            "reducers": [reducer.name for reducer in self.all_reducers()],
            "retry": asdict(self.retry),
            "stop_when": [repr(policy) for policy in self.policies()],
            "agents": list(self.agents),
            "description": self.description,
        }
        if self.adopts_orphans:
            specification["adopts_orphans"] = True
        fingerprint = sha256(dumps(specification)).hexdigest()
        return AgentFacts(name=self.name, fingerprint=fingerprint, specification=specification)


def _named(model: Model | str) -> str:
    return model if isinstance(model, str) else model.name


def _unique(what: str, agent: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise DefinitionError(f"two {what} of agent {agent!r} have the same name: {sorted(names)}")
