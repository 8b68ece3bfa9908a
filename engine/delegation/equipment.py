"""Delegation equipment: adds the delegation tools and hand-off to an agent before it runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from ...store.errors import DefinitionError
from ..agents import Agent, Behavior, Registered, Registry
from ..behaviors import Handoff
from ..runs import RunService
from .catalogue import Catalogue
from .delegation import Delegation


class Equipment:
    """Equips agents, each once for every registry snapshot that it belongs to."""

    def __init__(self, runs: RunService | None = None) -> None:
        """`runs` is None in a replay, which starts no sub-agents."""
        self._runs = runs
        self._equipped: dict[tuple[int, str], Agent] = {}

    def equip(self, agent: Registered, registry: Registry) -> Registered:
        """Return the agent with what it needs to delegate to those of its `agents` that the registry has."""
        if not isinstance(agent, Agent) or not agent.agents:
            return agent
        key = (registry.version, agent.name)
        if key not in self._equipped:
            behaviors = (*agent.behaviors, *self._behaviors(agent, registry))
            self._equipped[key] = replace(agent, behaviors=behaviors)
        return self._equipped[key]

    def _behaviors(self, agent: Agent, registry: Registry) -> list[Behavior]:
        others = [registry.agent(name) for name in agent.agents if name in registry and name != agent.name]
        targets = {other.name: other.description for other in others}
        behaviors: list[Behavior] = [Catalogue(Delegation(targets, registry, self._runs))]
        if not any(isinstance(behavior, Handoff) for behavior in agent.behaviors):
            behaviors += _handoff(agent, others)
        return behaviors


def _handoff(agent: Agent, others: Sequence[Registered]) -> list[Behavior]:
    """Return a hand-off to the local agents whose tools and reducers do not clash with the agent's own."""
    compatible = list[Agent]()
    for other in (each for each in others if isinstance(each, Agent)):
        with suppress(DefinitionError):
            replace(agent, behaviors=(*agent.behaviors, Handoff([*compatible, other])))
            compatible.append(other)
    return [Handoff(compatible)] if compatible else []
