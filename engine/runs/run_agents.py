"""The agents that each run uses: those registered when it started or resumed here."""

from typing import Protocol

from ..agents import Registered, Registry


class Equipper(Protocol):
    """Adds to an agent the tools with which it delegates to others."""

    def equip(self, agent: Registered, registry: Registry) -> Registered: ...


class RunAgents:
    """The current registry, for new runs, and the earlier ones that unfinished runs keep."""

    def __init__(self, registry: Registry, equipment: Equipper) -> None:
        self.current = registry
        """The registry of runs that start now."""
        self._equipment = equipment
        self._pinned: dict[str, Registry] = {}
        """By run: the registry with which an unfinished run started or resumed here."""

    def of(self, run_id: str | None) -> Registry:
        """Return the registry of a run; the current one if none is pinned."""
        return self._pinned.get(run_id or "", self.current)

    def pin(self, run_id: str) -> Registry:
        """Return the registry of a run, and keep it until it is released."""
        return self._pinned.setdefault(run_id, self.current)

    def inherit(self, run_id: str, parent: str | None) -> Registry:
        """Return the registry of a new run's parent, and pin it for the new run."""
        registry = self._pinned[run_id] = self.of(parent)
        return registry

    def release(self, run_id: str) -> None:
        """Unpin the registry of a run that does not continue here."""
        self._pinned.pop(run_id, None)

    def equip(self, name: str, registry: Registry) -> Registered:
        """Return an agent of a registry with its delegation tools.

        Raises:
            RunError: the registry has no such agent.
        """
        return self._equipment.equip(registry.agent(name), registry)
