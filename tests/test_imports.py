"""What may know what: read from the files, so that it holds of every module, imported or not."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("store", "reducers", "engine", "tools")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
CLOCKS = {"time", "datetime", "uuid", "random", "secrets"}


class Import(NamedTuple):
    """One imported module, as `module` reads it: `store.patch`, or `anyio` for somebody else's."""

    file: str
    module: str
    relative: bool

    @property
    def folder(self) -> str:
        return self.module.split(".")[0]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, tree: ast.AST) -> Iterator[Import]:
    """Every import under a node, those inside functions too; a relative one is resolved."""
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
    inner = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
    modules = [one for one in inner if source(one)]
    return modules if len(modules) == len(inner) else [module, *modules]


def source(module: str) -> Path | None:
    """The file of one of our modules."""
    stem = ROOT.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
IMPORTS = [found for path, tree in TREES.items() for found in imports(path, tree)]


def within(folder: str) -> list[Import]:
    return [one for one in IMPORTS if one.file.startswith(f"{folder}/")]


def test_the_files_are_found() -> None:
    assert {named(path).split("/")[0] for path in FILES} == set(FOLDERS)
    assert Import("engine/loop.py", "store.changeset", True) in IMPORTS
    assert Import("store/log.py", "store.derived", True) in IMPORTS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_knows_only_itself_and_those_below_it(folder: str) -> None:
    below = FOLDERS[: FOLDERS.index(folder) + 1]

    assert [one for one in within(folder) if one.relative and one.folder not in below] == []


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
    # The tools stand where a user's own program stands: it begins the event loop.
    ({"anyio"}, ("engine/", "store/async_log.py", "tools/")),
    ({"fcntl"}, ("engine/flock.py",)),
    ({"filelock"}, ("engine/windows_lock.py",)),
    (CLOCKS, ("engine/effects.py", "tools/")),
    ({"asyncio", "trio"}, ()),
]


@pytest.mark.parametrize(("modules", "places"), ONLY, ids=lambda value: ",".join(sorted(value)))
def test_what_touches_the_world_is_known_in_few_places(modules: set[str], places: tuple[str, ...]) -> None:
    found = [one for one in IMPORTS if one.folder in modules]

    assert [one for one in found if not one.file.startswith(places)] == []


def at_module_level(path: Path) -> set[str]:
    """Our modules that are imported when this one is."""
    found = {one.module for node in top(TREES[path].body) for one in imports(path, node) if one.relative}
    return {module for module in found if source(module)}


def top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run on import; those under TYPE_CHECKING do not."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from top(getattr(node, inner, []))


def test_no_module_imports_itself_through_others() -> None:
    graph = {source(name): name for path in FILES for name in [named(path)[:-3].replace("/", ".")]}
    edges = {path: {source(module) for module in at_module_level(path)} for path in FILES}

    done: set[Path | None] = set()
    while ready := {path for path in FILES if path not in done and edges[path] <= done}:
        done |= ready

    assert sorted(str(graph.get(path)) for path in FILES if path not in done) == []


def test_no_file_is_named_for_nothing() -> None:
    empty = {"utils", "helpers", "common", "base", "types", "manager"}

    assert [named(path) for path in FILES if path.stem in empty] == []


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert {name: length for name, length in lengths.items() if length > 400} == {}


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
