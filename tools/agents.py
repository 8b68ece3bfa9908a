"""A user's file of agents and reducers, brought to a log by `--agents FILE.py`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

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

_OF_BEHAVIORS = (
    COMPACTION_REDUCER,
    HANDOFF_REDUCER,
    OVERRIDE_REDUCER,
    PERMISSION_REDUCER,
    PROMPT_REDUCER,
    SUB_AGENT_REDUCER,
)
"""Of the behaviors that threadlog itself has."""


class Brought(NamedTuple):
    """What a user's file has for a log."""

    agents: list[Agent | RemoteAgent]
    reducers: Reducers
    """Threadlog's own, those of the agents, and those of the module."""


def brought(path: str | None) -> Brought:
    """The agents and reducers in a file; threadlog's own reducers if there is none.

    Raises:
        click.UsageError: the file cannot be run.
        DefinitionError: two reducers in it have the same name.
    """
    values = _values(_module(Path(path))) if path else []
    agents = [value for value in values if isinstance(value, Agent | RemoteAgent)]
    loose = [value for value in values if isinstance(value, Reducer)]
    reducers = [*loose, *(reducer for agent in agents for reducer in agent.all_reducers())]
    names = {reducer.name for reducer in reducers}
    reducers += [reducer for reducer in _OF_BEHAVIORS if reducer.name not in names]
    return Brought(agents, Reducers(dict.fromkeys(reducers)))


def agents_at(place: str) -> tuple[list[Agent | RemoteAgent], Agent | None]:
    """All agents of `FILE.py:NAME`, of one name the first; and the one that NAME names, or the only one.

    Those that run elsewhere come last, and are not named: they work for the others.

    Raises:
        click.UsageError: there is no such file, or no such agent in it.
    """
    path, _, name = place.partition(":")
    module = _module(Path(path))
    found = [value for value in _values(module) if isinstance(value, Agent)]
    named = vars(module).get(name) if name else None
    if not found or (name and not isinstance(named, Agent)):
        raise click.UsageError(f"{path!r} has no agent {name!r}: it has {[agent.name for agent in found]}")
    elsewhere = [value for value in _values(module) if isinstance(value, RemoteAgent)]
    agents: dict[str, Agent | RemoteAgent] = {}
    for agent in [named or found[0], *found, *elsewhere]:
        # One agent may have several names in the file, and stand in lists.
        agents.setdefault(agent.name, agent)
    is_only_one = len({agent.name for agent in found}) == 1
    return list(agents.values()), named or (found[0] if is_only_one else None)


def _values(module: ModuleType) -> list[Any]:
    values: list[Any] = []
    for value in vars(module).values():
        values += value if isinstance(value, list | tuple) else [value]
    return values


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise click.UsageError(f"there is no file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Where get_type_hints and pickle look for it.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as err:
        raise click.UsageError(f"{str(path)!r} cannot be run: {type(err).__name__}: {err}") from err
    return module
