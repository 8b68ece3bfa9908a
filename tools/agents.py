"""A user's file of agents and reducers, brought to a log by `--agents FILE.py`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ..engine.agent import Agent
from ..reducers.reduce import Reducers
from ..reducers.reducer import Reducer


def reducers_of(path: str | None) -> Reducers:
    """Threadlog's own reducers, and those of the agents and of the module in a file.

    Raises:
        click.UsageError: the file cannot be run.
        DefinitionError: two reducers in it have the same name.
    """
    found: list[Reducer] = []
    for value in _values(_module(Path(path))) if path else ():
        reducers = value.reducers if isinstance(value, Agent) else [value]
        found += [reducer for reducer in reducers if isinstance(reducer, Reducer) and reducer not in found]
    return Reducers(found)


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
