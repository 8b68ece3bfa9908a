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

READY_MADE = (
    COMPACTION_REDUCER,
    HANDOFF_REDUCER,
    OVERRIDE_REDUCER,
    PERMISSION_REDUCER,
    PROMPT_REDUCER,
    SUB_AGENT_REDUCER,
)
"""The reducers of the ready-made behaviors."""


class Definitions(NamedTuple):
    """What a user's file defines."""

    agents: list[Agent | RemoteAgent]
    reducers: Reducers
    """Threadlog's own, those of the agents, and those of the module."""


def load_definitions(path: str | None) -> Definitions:
    """Load the agents and reducers of a file. Without a file there are threadlog's own reducers only.

    Raises:
        click.UsageError: the file cannot be run.
        DefinitionError: two reducers in it have the same name.
    """
    values = list(_values(_module(Path(path)))) if path else []
    agents = [value for value in values if isinstance(value, Agent | RemoteAgent)]
    loose = [value for value in values if isinstance(value, Reducer)]
    reducers = [*loose, *(reducer for agent in agents for reducer in agent.all_reducers())]
    names = {reducer.name for reducer in reducers}
    reducers += [reducer for reducer in READY_MADE if reducer.name not in names]
    return Definitions(agents, Reducers(dict.fromkeys(reducers)))


def load_agents(place: str) -> tuple[list[Agent | RemoteAgent], Agent | None]:
    """Load the agents of `FILE.py:NAME`, and the one that NAME names; without NAME, the only one if so.

    Of several agents with one name the first counts. Remote agents come last and cannot be named: they
    are there for the others to delegate to.

    Raises:
        click.UsageError: there is no such file, or no such agent in it.
    """
    path, _, name = place.partition(":")
    module = _module(Path(path))
    local = [value for value in _values(module) if isinstance(value, Agent)]
    remote = [value for value in _values(module) if isinstance(value, RemoteAgent)]
    named = vars(module).get(name) if name else None
    if not local or (name and not isinstance(named, Agent)):
        raise click.UsageError(f"{path!r} has no agent {name!r}: it has {[agent.name for agent in local]}")
    agents: dict[str, Agent | RemoteAgent] = {}
    for agent in [named or local[0], *local, *remote]:
        # A file may have one agent under several names, and again in lists.
        agents.setdefault(agent.name, agent)
    is_only_one = len({agent.name for agent in local}) == 1
    return list(agents.values()), named or (local[0] if is_only_one else None)


def _values(module: ModuleType) -> Iterator[object]:
    """Yield the module's values, and those in its lists and tuples."""
    for value in vars(module).values():
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise click.UsageError(f"there is no file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # get_type_hints and pickle look for it there.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as err:
        raise click.UsageError(f"{str(path)!r} cannot be run: {type(err).__name__}: {err}") from err
    return module
