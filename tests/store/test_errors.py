import copy
import pickle
from collections.abc import Iterator
from inspect import signature

import pytest

import threadlog.errors
from support.logs import changeset
from threadlog.engine import ModelError, ToolError
from threadlog.store import errors
from threadlog.store.errors import ContentError, PatchError, ThreadlogError, VersionConflict


def classes(root: type[ThreadlogError] = ThreadlogError) -> Iterator[type[ThreadlogError]]:
    yield root
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from classes(each)


def example(kind: type[ThreadlogError]) -> ThreadlogError:
    """One of the kind, with all that its own constructor takes."""
    if "__init__" not in vars(kind):
        return kind("what failed, and what to do next")
    given = {"between": [changeset()], "operation": {"op": "remove", "path": "/a"}}
    parameters = list(signature(kind).parameters.values())
    return kind(*(given.get(p.name, 1 if p.annotation is int else p.name) for p in parameters))


@pytest.mark.parametrize("kind", [*classes()])
def test_an_error_survives_pickling_and_copying(kind: type[ThreadlogError]) -> None:
    error = example(kind)

    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(back), str(back), back.args, vars(back)) == (kind, str(error), error.args, vars(error))


def test_every_error_is_public_and_in_the_tree_of_the_public_module() -> None:
    assert threadlog.errors.__doc__
    for kind in (*classes(), ToolError, ModelError):
        assert kind.__name__ in threadlog.errors.__all__
        assert f" {kind.__name__} " in f"{threadlog.errors.__doc__} ".replace("\n", " ")
    assert set(threadlog.__all__) <= set(threadlog.errors.__all__)


def test_errors_say_where_and_what_next() -> None:
    assert str(ContentError("too large", "/a/0")) == "too large at '/a/0'"
    assert str(PatchError("no such place", 3)) == "operation 3: no such place"
    assert "'t1' is at version 2, not 1" in str(VersionConflict("t1", 1, 2))
