"""Agents: values that say how a run goes. Running one is the runtime's work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..reducers.reduce import Reducers
from ..reducers.reducer import Reducer
from ..store.changeset import AgentFacts
from ..store.document import dumps
from ..store.errors import DefinitionError
from .behavior import Behavior
from .model import Model
from .tool import Tool


@dataclass(frozen=True)
class Agent:
    """A name, a model, and what the model may do. Plain functions among the tools become tools.

    Raises:
        DefinitionError: two tools, behaviors or reducers have the same name.
    """

    name: str
    model: Model
    instructions: str = ""
    tools: Sequence[Tool | Callable[..., Any]] = ()
    behaviors: Sequence[Behavior] = ()
    reducers: Sequence[Reducer] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model):
            raise DefinitionError(
                f"the model of agent {self.name!r} has no name and stream(): {self.model!r}"
            )
        _unique("tools", self.name, [tool.name for tool in self.toolbox().values()], len(self.tools))
        _unique("behaviors", self.name, [behavior.name for behavior in self.behaviors], len(self.behaviors))
        Reducers(self.reducers)

    def toolbox(self) -> dict[str, Tool]:
        """The tools by name."""
        tools = [given if isinstance(given, Tool) else Tool(given) for given in self.tools]
        return {tool.name: tool for tool in tools}

    def facts(self) -> AgentFacts:
        """The specification in force, with its fingerprint: equal specifications have equal ones."""
        specs = [tool.spec() for tool in self.toolbox().values()]
        specification: dict[str, Any] = {
            "model": self.model.name,
            "instructions": self.instructions,
            "tools": [
                {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
                for spec in specs
            ],
            "behaviors": [behavior.name for behavior in self.behaviors],
            "reducers": [reducer.name for reducer in self.reducers],
        }
        fingerprint = sha256(dumps(specification)).hexdigest()
        return AgentFacts(name=self.name, fingerprint=fingerprint, specification=specification)


def _unique(what: str, agent: str, names: list[str], expected: int) -> None:
    if len(set(names)) != expected:
        raise DefinitionError(f"two {what} of agent {agent!r} have the same name: {sorted(names)}")
