"""What may import what, read from the source files: it holds for every module, imported or not."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("store", "reducers", "engine", "tools")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CLOCKS = {"time", "datetime", "uuid", "random", "secrets"}

LAYERS: list[set[str]] = [
    {"store"},
    {"reducers"},
    {"engine.models"},
    {"engine.agents", "engine.events"},
    {"engine.commit", "engine.behaviors"},
    {"engine.control"},
    {"engine.loop"},
    {"engine.remote"},
    {"engine.runs"},
    {"engine.delegation"},
    {"engine.serve", "engine.replay"},
    {"engine.runtime"},
    {"engine"},
    {"tools"},
]
"""From the bottom up. A package imports from the layers below its own; those of one layer do not meet."""


class Import(NamedTuple):
    """One imported module, as `module` reads it: `store.patch`, or `anyio` for another project's."""

    file: str
    module: str
    relative: bool

    @property
    def folder(self) -> str:
        return self.module.split(".")[0]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, tree: ast.AST) -> Iterator[Import]:
    """Every import under a node, inside functions and `TYPE_CHECKING` too; relative ones are resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(named(path), alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield Import(named(path), node.module or "", False)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(named(path), module, True) for module in resolved(path, node))


def resolved(path: Path, node: ast.ImportFrom) -> list[str]:
    package = path.relative_to(ROOT).parent.parts
    base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
    module = ".".join(part for part in base if part)
    # `from . import derived` names a module, `from .log import Log` a thing in one.
    inner = [
        f"{module}.{alias.name}".lstrip(".") for alias in node.names if alias.name not in exported(module)
    ]
    modules = [one for one in inner if source(one)]
    return modules if len(modules) == len(node.names) else [module, *modules]


def exported(module: str) -> set[str]:
    """The names that a package exports: one of them may be called like a module of it."""
    face = ROOT.joinpath(*module.split("."), "__init__.py")
    tree = ast.parse(face.read_text("utf-8")) if face.is_file() else ast.Module([], [])
    return {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def source(module: str) -> Path | None:
    """The file of one of our modules."""
    stem = ROOT.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (*FILES, *TESTS)}
IMPORTS = [found for path in FILES for found in imports(path, TREES[path])]


def within(folder: str) -> list[Import]:
    return [one for one in IMPORTS if one.file.startswith(f"{folder}/")]


def package_of(module: str) -> str:
    """The part of the house that a module or a file belongs to: `engine.loop`, `engine.runtime`, `store`."""
    parts = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".").split(".")
    return ".".join(parts[:2]) if parts[0] == "engine" else parts[0]


def test_the_files_are_found() -> None:
    assert {named(path).split("/")[0] for path in FILES} == set(FOLDERS)
    assert Import("engine/loop/agent_loop.py", "store.changeset", True) in IMPORTS
    assert Import("store/log.py", "store.derived", True) in IMPORTS


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package_of(named(path)) for path in FILES} == set[str]().union(*LAYERS)


def test_a_package_imports_only_from_the_layers_below_it() -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    crossing = [one for one in IMPORTS if one.relative and package_of(one.file) != package_of(one.module)]

    upward = [one for one in crossing if layer[package_of(one.module)] >= layer[package_of(one.file)]]

    assert upward == []


def test_no_module_imports_itself_through_others() -> None:
    """also by way of an import inside a function, or under `TYPE_CHECKING`"""
    edges = {
        path: {source(one.module) for one in imports(path, TREES[path]) if one.relative} for path in FILES
    }

    done: set[Path | None] = {None}
    while ready := {path for path in FILES if path not in done and edges[path] - {path} <= done}:
        done |= ready

    assert [named(path) for path in FILES if path not in done] == []


def test_nothing_outside_a_package_of_the_engine_imports_its_modules() -> None:
    """what a package has for others is in its `__init__`"""
    packages = {name for layer in LAYERS for name in layer if name.startswith("engine.")} - {"engine.runtime"}
    faces = packages | {
        f"engine.serve.{path.name}" for path in (ROOT / "engine/serve").iterdir() if path.is_dir()
    }

    private = [
        one
        for one in IMPORTS
        if one.relative
        and package_of(one.module) in packages
        and package_of(one.file) != package_of(one.module)
        and one.module not in faces
    ]

    assert private == []


def test_every_package_says_what_it_is_for_and_exports_what_it_has() -> None:
    for path in (path for path in FILES if path.name == "__init__.py"):
        tree = TREES[path]
        assert ast.get_docstring(tree), f"{named(path)} has no docstring"
        names = [
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ]
        exported = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
        assert sorted(names) == sorted(exported[0] if exported else []), f"{named(path)} exports other names"


def test_every_package_is_installed() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    found = {named(path.parent).replace("/", ".") for path in FILES if path.name == "__init__.py"}

    assert sorted(declared) == sorted({"threadlog", *(f"threadlog.{name}" for name in found)})


def test_an_import_across_folders_is_relative() -> None:
    """an absolute one would work only under the name that the checkout is installed by"""
    known = {*FOLDERS, "threadlog"}

    assert [one for one in IMPORTS if not one.relative and one.folder in known] == []


def test_the_reducers_know_what_is_pure_and_nothing_else() -> None:
    pure = {"store.patch", "store.changeset", "store.errors", "store.document"}
    foreign = {one.folder for one in within("reducers") if not one.relative}

    assert {one.module for one in within("reducers") if one.folder == "store"} <= pure
    assert foreign <= {"collections", "dataclasses", "enum", "math", "typing", "pydantic"}


ONLY: list[tuple[set[str], tuple[str, ...]]] = [
    ({"sqlite_utils", "sqlite3", "pysqlite3"}, ("store/database.py",)),
    # The tools start the event loop, as a user's own program does.
    ({"anyio"}, ("engine/", "store/appender.py", "tools/")),
    ({"fcntl"}, ("engine/runs/flock.py",)),
    ({"filelock"}, ("engine/runs/windows_lock.py",)),
    (CLOCKS, ("engine/commit/effects.py", "tools/")),
    ({"asyncio", "trio"}, ()),
]


@pytest.mark.parametrize(("modules", "places"), ONLY, ids=lambda value: ",".join(sorted(value)))
def test_what_touches_the_world_is_known_in_few_places(modules: set[str], places: tuple[str, ...]) -> None:
    found = [one for one in IMPORTS if one.folder in modules]

    assert [one for one in found if not one.file.startswith(places)] == []


def test_no_file_is_named_for_nothing() -> None:
    empty = {"utils", "helpers", "common", "base", "types", "manager"}

    assert [named(path) for path in FILES if path.stem in empty] == []


def test_no_file_is_longer_than_350_lines() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in TREES}

    assert {name: length for name, length in lengths.items() if length > 350} == {}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0


def test_no_function_is_longer_than_40_lines() -> None:
    long = [
        (named(path), node.name, body_lines(node))
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 40
    ]

    assert long == []


def test_no_type_error_is_ignored() -> None:
    assert [named(path) for path in FILES if "type: ignore" in path.read_text(encoding="utf-8")] == []
