"""The plan of a step: the agent's tools, models and settings, as changed by behaviors. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ...store.changeset import Termination
from ..agents import (
    AddContextMessage,
    AddRequestTransform,
    Agent,
    ExcludeTool,
    IncludeOnlyTools,
    OverrideInference,
    OverrideModel,
    PhaseAction,
    Terminate,
    Tool,
)
from ..models import Model, ModelRequest

_SETTINGS = ("temperature", "max_tokens", "top_p", "reasoning_effort")


@dataclass(slots=True)
class StepPlan:
    """The tools, models, settings and context of one step, or why the run ends instead."""

    agent: Agent
    tools: dict[str, Tool]
    override: OverrideInference = field(default_factory=OverrideInference)
    context: list[AddContextMessage] = field(default_factory=list)
    transforms: list[Callable[[ModelRequest], ModelRequest]] = field(default_factory=list)
    termination: Termination | None = None

    @classmethod
    def of(cls, agent: Agent, actions: Iterable[PhaseAction]) -> "StepPlan":
        """Return the agent's plan, changed by the actions in order."""
        plan = cls(agent, agent.toolbox())
        for action in actions:
            plan._apply(action)
        return plan

    def models(self) -> list[Model]:
        """Return the models to ask, in order. An overriding model has fallbacks of its own, or none."""
        if self.override.model is None:
            models = self.agent.models()
        else:
            named = (self.override.model, *(self.override.fallbacks or ()))
            models = [self.agent.resolve_model(model) for model in named if model]
        return list({id(model): model for model in models}.values())

    def settings(self) -> dict[str, Any]:
        """Return the agent's settings with the overrides."""
        overrides = {name: getattr(self.override, name) for name in _SETTINGS}
        return dict(self.agent.settings) | {k: v for k, v in overrides.items() if v is not None}

    def _apply(self, action: PhaseAction) -> None:
        match action:
            case AddContextMessage():
                self.context.append(action)
            case ExcludeTool(name):
                self.tools.pop(name, None)
            case IncludeOnlyTools(names):
                self.tools = {name: tool for name, tool in self.tools.items() if name in names}
            case AddRequestTransform(transform):
                self.transforms.append(transform)
            case OverrideModel(model, fallbacks):
                self._merge(OverrideInference(model=model, fallbacks=tuple(fallbacks) or None))
            case OverrideInference():
                self._merge(action)
            case Terminate(termination):
                self.termination = termination

    def _merge(self, later: OverrideInference) -> None:
        overrides = {field.name: getattr(later, field.name) for field in fields(later)}
        self.override = replace(self.override, **{k: v for k, v in overrides.items() if v is not None})
