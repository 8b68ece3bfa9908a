"""Which agents a run uses: those in force when it started or resumed here, with their delegation tools."""

from typing import Protocol

from ..agents import Registered, Registry


class Equipper(Protocol):
    """Gives an agent what it needs to delegate to others."""

    def equip(self, agent: Registered, registry: Registry) -> Registered: ...


class RunAgents:
    """The registry for new runs, and the older ones that open runs keep."""

    def __init__(self, registry: Registry, equipment: Equipper) -> None:
        self.current = registry
        """What a run that starts now starts with."""
        self._equipment = equipment
        self._kept: dict[str, Registry] = {}
        """By run: what the open runs that began or resumed here did so with."""

    def of(self, run_id: str | None) -> Registry:
        """The registry of a run; the current one if it keeps none."""
        return self._kept.get(run_id or "", self.current)

    def keep(self, run_id: str) -> Registry:
        """Keep a run's registry until it is released."""
        return self._kept.setdefault(run_id, self.current)

    def start(self, run_id: str, parent: str | None) -> Registry:
        """Keep for a new run the registry of its parent."""
        registry = self._kept[run_id] = self.of(parent)
        return registry

    def release(self, run_id: str) -> None:
        """Forget the registry of a run that does not continue here."""
        self._kept.pop(run_id, None)

    def equip(self, name: str, registry: Registry) -> Registered:
        """Return an agent of a registry with its delegation tools.

        Raises:
            RunError: the registry has no such agent.
        """
        return self._equipment.equip(registry.agent(name), registry)
