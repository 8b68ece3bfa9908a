import copy
import pickle
from collections.abc import Iterator
from inspect import signature

import pytest

from support.logs import changeset
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


def test_every_error_stands_in_the_tree_that_opens_the_module() -> None:
    assert errors.__doc__
    for kind in classes():
        assert kind.__name__ in errors.__doc__


def test_errors_say_where_and_what_next() -> None:
    assert str(ContentError("too large", "/a/0")) == "too large at '/a/0'"
    assert str(PatchError("no such place", 3)) == "operation 3: no such place"
    assert "'t1' is at version 2, not 1" in str(VersionConflict("t1", 1, 2))
