"""Load the agents and reducers that a user's Python file defines."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import click

from ..engine.agents import Agent, RemoteAgent
from ..engine.behaviors import (
    COMPACTION_REDUCER,
    HANDOFF_REDUCER,
    OVERRIDE_REDUCER,
    PERMISSION_REDUCER,
    PROMPT_REDUCER,
)
from ..reducers.reduce import Reducers
from ..reducers.reducer import Reducer
from ..reducers.sub_agent import SUB_AGENT_REDUCER

BUILT_IN = (
    COMPACTION_REDUCER,
    HANDOFF_REDUCER,
    OVERRIDE_REDUCER,
    PERMISSION_REDUCER,
    PROMPT_REDUCER,
    SUB_AGENT_REDUCER,
)
"""The reducers of threadlog's own behaviors, and of delegation."""


class Definitions(NamedTuple):
    """The agents and reducers of a user's file."""

    agents: list[Agent | RemoteAgent]
    reducers: Reducers
    """Threadlog's own reducers, those of the agents, and those of the module."""


def load_definitions(path: str | None) -> Definitions:
    """Load the agents and reducers of a file; without a file, only threadlog's own reducers.

    Raises:
        click.UsageError: the file cannot be run.
        DefinitionError: two of its reducers have the same name.
    """
    values = list(_values(_module(Path(path)))) if path else []
    agents = [value for value in values if isinstance(value, Agent | RemoteAgent)]
    standalone = [value for value in values if isinstance(value, Reducer)]
    reducers = [*standalone, *(reducer for agent in agents for reducer in agent.all_reducers())]
    names = {reducer.name for reducer in reducers}
    reducers += [reducer for reducer in BUILT_IN if reducer.name not in names]
    return Definitions(agents, Reducers(dict.fromkeys(reducers)))


def load_agents(location: str) -> tuple[list[Agent | RemoteAgent], Agent | None]:
    """Load all agents of `FILE.py:NAME`, and the agent called NAME.

    Without NAME the second value is the file's only agent, or None if it defines several. If several agents
    have one name, the first is used. Remote agents come last; they can be delegated to, but not named.

    Raises:
        click.UsageError: the file does not exist, cannot be run, or does not define the agent.
    """
    path, _, name = location.partition(":")
    module = _module(Path(path))
    local = [value for value in _values(module) if isinstance(value, Agent)]
    remote = [value for value in _values(module) if isinstance(value, RemoteAgent)]
    named = vars(module).get(name) if name else None
    if not local:
        raise click.UsageError(f"{path!r} defines no agent")
    if name and not isinstance(named, Agent):
        defined = ", ".join(variable for variable, value in vars(module).items() if isinstance(value, Agent))
        raise click.UsageError(f"{path!r} has no agent {name!r}: it defines {defined}")
    agents: dict[str, Agent | RemoteAgent] = {}
    for agent in [named or local[0], *local, *remote]:
        # A file may assign one agent to several names, and list it again.
        agents.setdefault(agent.name, agent)
    is_only_one = len({agent.name for agent in local}) == 1
    return list(agents.values()), named or (local[0] if is_only_one else None)


def _values(module: ModuleType) -> Iterator[object]:
    """Yield the values of the module and the items of its lists and tuples."""
    for value in vars(module).values():
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise click.UsageError(f"file {str(path)!r} does not exist")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # get_type_hints and pickle look the module up by name.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as err:
        raise click.UsageError(f"{str(path)!r} cannot be run: {type(err).__name__}: {err}") from err
    return module
