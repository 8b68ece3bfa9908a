"""Agents: declarations of what a run does. The runtime executes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar, get_args

from pydantic import BaseModel

from ...reducers.reduce import Reducers
from ...reducers.reducer import Reducer
from ...store.changeset import AgentSnapshot, ToolExecution
from ...store.document import dumps
from ...store.errors import DefinitionError
from ..models import Model, ProviderModel, RetryPolicy
from .behavior import Behavior
from .behavior_order import order_behaviors
from .output import output_tool
from .stop_policy import MaxRounds, StopPolicy
from .tool import Tool


@dataclass(frozen=True)
class Agent:
    """A name, a model, and what the model may do. Plain functions in `tools` become tools.

    Raises:
        DefinitionError: two tools, behaviors or reducers have the same name, or a value is invalid.
    """

    name: str
    model: Model | str
    """A model or its name: `openai:gpt-5`, `anthropic:claude-…`."""

    instructions: str = ""
    tools: Sequence[Tool | Callable[..., Any]] = ()
    behaviors: Sequence[Behavior] = ()
    reducers: Sequence[Reducer] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model: `temperature`, `max_tokens`, `top_p`, `reasoning_effort`."""

    fallbacks: Sequence[Model | str] = ()
    """Models to ask, in order, if the first does not answer."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tool_execution: ToolExecution = "parallel"
    """How the tool calls of one turn are executed: see `engine/loop/tool_round.py`."""

    max_rounds: int = 10
    """How many rounds of model and tools a run may take; 0 means no limit."""

    stop_when: Sequence[StopPolicy] = ()
    """Policies to check in order after each complete round, after `max_rounds`."""

    output_type: type[BaseModel] | None = None
    """The type of a run's output. Without it, the output is the text of the last answer."""

    agents: Sequence[str] = ()
    """Names of agents to delegate to or hand over to, if they are registered when a run starts."""

    description: str = ""
    """What the agent is good for, as other agents read it."""

    adopts_orphans: ClassVar[bool] = False
    """Whether runs are executed on another machine and only followed here. Such a run never becomes an
    orphan: if its process dies, the next runtime that has the agent follows it."""

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
        _refuse_duplicates("tools", self.name, [tool.name for tool in self._tools])
        _refuse_duplicates("behaviors", self.name, [behavior.name for behavior in self.behaviors])
        order_behaviors(self.behaviors)
        Reducers(self.all_reducers())

    @cached_property
    def _own_tools(self) -> tuple[Tool, ...]:
        return tuple(given if isinstance(given, Tool) else Tool(given) for given in self.tools)

    @cached_property
    def _tools(self) -> tuple[Tool, ...]:
        made = list(self._own_tools)
        for tool in (tool for behavior in self.behaviors for tool in behavior.tools):
            # Several behaviors may bring the same function, and the agent may have it too: keep the first.
            if all(tool.function is not known.function for known in made):
                made.append(tool)
        return (*made, output_tool(self.output_type)) if self.output_type else tuple(made)

    def own_tools(self) -> tuple[Tool, ...]:
        """Return the agent's own tools, without those that its behaviors bring."""
        return self._own_tools

    def resolve_model(self, model: Model | str) -> Model:
        """Return a model as it is, and a name as a provider's model: the same object each time."""
        if not isinstance(model, str):
            return model
        if model not in self._providers:
            self._providers[model] = ProviderModel(model)
        return self._providers[model]

    def models(self) -> list[Model]:
        """Return the agent's model and its fallbacks.

        Raises:
            DefinitionError: a name is not that of a provider's model, or its extra is not installed.
        """
        return [self.resolve_model(model) for model in (self.model, *self.fallbacks)]

    def toolbox(self) -> dict[str, Tool]:
        """Return all tools by name, in a new dictionary."""
        return {tool.name: tool for tool in self._tools}

    def policies(self) -> tuple[StopPolicy, ...]:
        """Return the stop policies of a run, in the order in which they are checked."""
        own = (MaxRounds(self.max_rounds),) if self.max_rounds else ()
        return (*own, *self.stop_when)

    def all_reducers(self) -> tuple[Reducer, ...]:
        """Return the agent's own reducers and those that its behaviors bring."""
        brought = [reducer for behavior in self.behaviors for reducer in behavior.reducers]
        return tuple(dict.fromkeys((*self.reducers, *brought)))

    def snapshot(self) -> AgentSnapshot:
        """Return the specification and its fingerprint. Equal specifications have equal fingerprints."""
        specification: dict[str, Any] = {
            "model": _model_name(self.model),
            "fallbacks": [_model_name(model) for model in self.fallbacks],
            "instructions": self.instructions,
            "settings": dict(self.settings),
            "tools": [asdict(tool.spec()) for tool in self._tools],
            "behaviors": [
                {"name": behavior.name, "settings": dict(behavior.settings)} for behavior in self.behaviors
            ],
            "reducers": [reducer.name for reducer in self.all_reducers()],
            "retry": asdict(self.retry),
            "stop_when": [repr(policy) for policy in self.policies()],
            "agents": list(self.agents),
            "description": self.description,
        }
        fingerprint = sha256(dumps([specification, self.tool_execution])).hexdigest()
        return AgentSnapshot(
            name=self.name,
            fingerprint=fingerprint,
            specification=specification,
            tool_execution=self.tool_execution,
            adopts_orphans=self.adopts_orphans,
        )


def _model_name(model: Model | str) -> str:
    return model if isinstance(model, str) else model.name


def _refuse_duplicates(what: str, agent: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise DefinitionError(f"two {what} of agent {agent!r} have the same name: {sorted(names)}")
