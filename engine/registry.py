"""What may run: agents with their tools, models and behaviors, as one immutable snapshot."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from ..store.changeset import AgentFacts
from ..store.document import dumps
from ..store.errors import DefinitionError, RunError
from .agent import Agent


@dataclass(frozen=True)
class Registry:
    """A snapshot. A run keeps the one it started with, whatever replaces it meanwhile.

    Raises:
        DefinitionError: two agents have the same name.
    """

    agents: Sequence[Agent]

    version: int = 1
    """Of this runtime: one more whenever the agents are replaced."""

    def __post_init__(self) -> None:
        if len(self._by_name) < len(self.agents):
            raise DefinitionError("two agents have the same name")

    @cached_property
    def _by_name(self) -> MappingProxyType[str, Agent]:
        return MappingProxyType({agent.name: agent for agent in self.agents})

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def agent(self, name: str) -> Agent:
        """The agent of a name.

        Raises:
            RunError: there is none.
        """
        if name not in self._by_name:
            raise RunError(f"there is no agent {name!r} here; there are {sorted(self._by_name)}")
        return self._by_name[name]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all specifications: equal registries have equal ones, whatever their versions."""
        return sha256(dumps({agent.name: agent.facts().fingerprint for agent in self.agents})).hexdigest()

    def facts(self, name: str) -> AgentFacts:
        """What the log keeps of an agent when it starts to run from here."""
        return self.agent(name).facts().model_copy(update={"registry": self.fingerprint})

    def connections(self) -> Iterator[AbstractAsyncContextManager[Any]]:
        """The models that keep connections, each once."""
        models = {id(model): model for agent in self.agents for model in agent.models()}
        return (model for model in models.values() if isinstance(model, AbstractAsyncContextManager))
