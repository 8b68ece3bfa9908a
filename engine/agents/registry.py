"""What may run: agents with their tools, models and behaviors, as one immutable snapshot."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import BaseModel

from ...reducers.reducer import Reducer
from ...store.changeset import AgentFacts
from ...store.document import dumps
from ...store.errors import DefinitionError, RunError
from ..models import Model
from .tool import Tool


class Registered(Protocol):
    """What a registry has agents of: those that run here, and those that run elsewhere."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str:
        """What it is good for, as other agents read it."""
        ...

    @property
    def output_type(self) -> type[BaseModel] | None: ...

    def models(self) -> list[Model]:
        """Those it asks here."""
        ...

    def toolbox(self) -> dict[str, Tool]:
        """The tools that are called here, by name."""
        ...

    def all_reducers(self) -> tuple[Reducer, ...]:
        """Those of its runs, apart from threadlog's own."""
        ...

    def facts(self) -> AgentFacts:
        """The specification in force, with its fingerprint."""
        ...


@dataclass(frozen=True)
class Registry:
    """A snapshot. A run keeps the one it started with, whatever replaces it meanwhile.

    Raises:
        DefinitionError: two agents have the same name.
    """

    agents: Sequence[Registered]

    version: int = 1
    """Of this runtime: one more whenever the agents are replaced."""

    def __post_init__(self) -> None:
        if len(self._by_name) < len(self.agents):
            raise DefinitionError("two agents have the same name")

    @cached_property
    def _by_name(self) -> MappingProxyType[str, Registered]:
        return MappingProxyType({agent.name: agent for agent in self.agents})

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def agent(self, name: str) -> Registered:
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
