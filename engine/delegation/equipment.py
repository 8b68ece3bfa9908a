"""An agent as it runs: with the tools for the agents that it may have work for it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from ...store.errors import DefinitionError
from ..agents import Agent, Behavior, Registered, Registry
from ..behaviors import Handoff
from ..runs import Runs
from .agent_tools import Delegation
from .catalogue import Catalogue


class Equipment:
    """Equips agents, each once for every snapshot that it belongs to."""

    def __init__(self, runs: Runs | None = None) -> None:
        """Without `runs` nothing can be started: as in a replay."""
        self._runs = runs
        self._made: dict[tuple[int, str], Agent] = {}

    def equipped(self, agent: Registered, registry: Registry) -> Registered:
        """The agent, and what it needs for those that it names and the registry has."""
        if not isinstance(agent, Agent) or not agent.agents:
            return agent
        key = (registry.version, agent.name)
        if key not in self._made:
            self._made[key] = replace(agent, behaviors=(*agent.behaviors, *self._brought(agent, registry)))
        return self._made[key]

    def _brought(self, agent: Agent, registry: Registry) -> list[Behavior]:
        others = [registry.agent(name) for name in agent.agents if name in registry and name != agent.name]
        targets = {other.name: other.description for other in others}
        behaviors: list[Behavior] = [Catalogue(Delegation(targets, registry, self._runs))]
        if not any(isinstance(behavior, Handoff) for behavior in agent.behaviors):
            behaviors += _handoff(agent, others)
        return behaviors


def _handoff(agent: Agent, others: Sequence[Registered]) -> list[Behavior]:
    """Over to those that run here and whose tools and reducers can be beside the agent's own."""
    fit = list[Agent]()
    for other in (each for each in others if isinstance(each, Agent)):
        with suppress(DefinitionError):
            replace(agent, behaviors=(*agent.behaviors, Handoff([*fit, other])))
            fit.append(other)
    return [Handoff(fit)] if fit else []
