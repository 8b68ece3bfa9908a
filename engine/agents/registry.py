"""The registry: the agents of a runtime, as one immutable snapshot."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Protocol

from pydantic import BaseModel

from ...reducers.reducer import Reducer
from ...store.changeset import AgentSnapshot
from ...store.document import dumps
from ...store.errors import DefinitionError, RunError
from ..models import Model
from .tool import Tool


class Registered(Protocol):
    """An agent in a registry: one that runs here, or a remote one."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str:
        """What the agent is good for, as other agents read it."""
        ...

    @property
    def output_type(self) -> type[BaseModel] | None: ...

    def models(self) -> list[Model]:
        """Return the models that the agent asks from this process."""
        ...

    def toolbox(self) -> dict[str, Tool]:
        """Return the tools that are called in this process, by name."""
        ...

    def all_reducers(self) -> tuple[Reducer, ...]:
        """Return the reducers of the agent's runs, without those of threadlog itself."""
        ...

    def snapshot(self) -> AgentSnapshot:
        """Return the specification and its fingerprint."""
        ...


@dataclass(frozen=True)
class Registry:
    """A snapshot of agents. A run keeps the snapshot it started with, even if the agents are replaced.

    Raises:
        DefinitionError: two agents have the same name.
    """

    agents: Sequence[Registered]

    version: int = 1
    """The version within this runtime. It grows by one when the agents are replaced."""

    def __post_init__(self) -> None:
        if len(self._by_name) < len(self.agents):
            raise DefinitionError("two agents have the same name")

    @cached_property
    def _by_name(self) -> MappingProxyType[str, Registered]:
        return MappingProxyType({agent.name: agent for agent in self.agents})

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def agent(self, name: str) -> Registered:
        """Return the agent with this name.

        Raises:
            RunError: the registry has no such agent.
        """
        if name not in self._by_name:
            raise RunError(f"there is no agent {name!r} here; there are {sorted(self._by_name)}")
        return self._by_name[name]

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of all specifications. It does not depend on the version."""
        return sha256(dumps({agent.name: agent.snapshot().fingerprint for agent in self.agents})).hexdigest()

    def connections(self) -> Iterator[AbstractAsyncContextManager[object]]:
        """Return the models that keep connections open, each of them once."""
        models = {id(model): model for agent in self.agents for model in agent.models()}
        return (model for model in models.values() if isinstance(model, AbstractAsyncContextManager))
