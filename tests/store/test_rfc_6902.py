"""RFC 6902, case by case: what it allows is applied, and what it does not allow is refused."""

from typing import Any

import pytest

from support.json_patches import REFUSED, add, check, copy, move, oracle, outcome, remove, replace
from threadlog.store.document import parse, same
from threadlog.store.errors import ContentError, PatchError
from threadlog.store.patch import Operation, apply

# Source: RFC 6902, appendix A, case by case, on documents of our own.
APPENDIX_A = [
    pytest.param(
        {"hotel": "A"}, [add("/city", "Kyoto")], {"city": "Kyoto", "hotel": "A"}, id="A.1 member added"
    ),
    pytest.param({"days": [1, 3]}, [add("/days/1", 2)], {"days": [1, 2, 3]}, id="A.2 element added"),
    pytest.param({"a": 1, "b": 2}, [remove("/b")], {"a": 1}, id="A.3 member removed"),
    pytest.param({"days": [1, 2, 3]}, [remove("/days/1")], {"days": [1, 3]}, id="A.4 element removed"),
    pytest.param({"a": 1, "b": 2}, [replace("/b", "x")], {"a": 1, "b": "x"}, id="A.5 value replaced"),
    pytest.param(
        {"from": {"x": 1, "y": 2}, "to": {"z": 3}},
        [move("/from/y", "/to/w")],
        {"from": {"x": 1}, "to": {"z": 3, "w": 2}},
        id="A.6 value moved",
    ),
    pytest.param({"q": [1, 2, 3, 4]}, [move("/q/1", "/q/3")], {"q": [1, 3, 4, 2]}, id="A.7 element moved"),
    pytest.param(
        {"a": "x", "b": ["y", 2]},
        [check("/a", "x"), check("/b/1", 2)],
        {"a": "x", "b": ["y", 2]},
        id="A.8 test",
    ),
    pytest.param({"a": "x"}, [check("/a", "y")], REFUSED, id="A.9 test fails"),
    pytest.param({"a": 1}, [add("/b", {"c": {}})], {"a": 1, "b": {"c": {}}}, id="A.10 nested member added"),
    pytest.param(
        {"a": 1}, [{**add("/b", 2), "note": "x"}], {"a": 1, "b": 2}, id="A.11 unknown members are passed over"
    ),
    pytest.param({"a": 1}, [add("/b/c", 2)], REFUSED, id="A.12 no parent to add to"),
    pytest.param(
        {"/": 9, "~1": 10}, [check("/~01", 10)], {"/": 9, "~1": 10}, id="A.14 escapes are undone in order"
    ),
    pytest.param({"/": 9, "~1": 10}, [check("/~01", "10")], REFUSED, id="A.15 text is not a number"),
    pytest.param({"a": [1]}, [add("/a/-", [2, 3])], {"a": [1, [2, 3]]}, id="A.16 element appended"),
]


@pytest.mark.parametrize(("document", "patch", "expected"), APPENDIX_A)
def test_the_cases_of_the_rfc_hold(document: Any, patch: list[Operation], expected: Any) -> None:
    assert same(outcome(document, patch), expected)


def test_an_operation_with_two_ops_is_refused_by_the_parser() -> None:
    """A.13 of RFC 6902: two `op` members are an error, which only the parser can see."""
    with pytest.raises(ContentError, match="twice"):
        parse('[{"op": "add", "path": "/b", "value": 1, "op": "remove"}]')


ALLOWED = [
    ({"a": 1}, [check("/a", 1.0)], {"a": 1}),
    ({"a": 0.0}, [check("/a", -0.0)], {"a": 0.0}),
    ({"a": [1, {"b": None}]}, [check("", {"a": [1.0, {"b": None}]})], {"a": [1, {"b": None}]}),
    ({"a": None}, [check("/a", None)], {"a": None}),
    ({}, [add("/a", None)], {"a": None}),
    ({"a": 1}, [replace("/a", None)], {"a": None}),
    ({"a": 1}, [add("/a", 2)], {"a": 2}),
    ([1, 2], [add("/2", 3)], [1, 2, 3]),
    ([], [add("/0", 1)], [1]),
    ({"a": 1}, [add("", [])], []),
    ("text", [replace("", {"x": 1}), add("/y", 2)], {"x": 1, "y": 2}),
    ({"": 1, "a": 2}, [remove("/")], {"a": 2}),
    ({"-": 1}, [replace("/-", 2)], {"-": 2}),
    ({"01": 1}, [replace("/01", 2)], {"01": 2}),
    ({"a": 1}, [move("/a", "/a")], {"a": 1}),
    ({"a": 1}, [move("", "")], {"a": 1}),
    ({"a": {"b": 1}}, [move("/a/b", "/a")], {"a": 1}),
    ([[1], 2], [move("/1", "/0/0")], [[2, 1]]),
    ({"a": [1]}, [copy("/a", "/a/-")], {"a": [1, [1]]}),
    ({"a": 1}, [copy("", "/b")], {"a": 1, "b": {"a": 1}}),
    ({"a": {"x": 1}}, [copy("/a", "/a/y"), replace("/a/y/x", 2)], {"a": {"x": 1, "y": {"x": 2}}}),
    ({"a": 1}, [], {"a": 1}),
]


@pytest.mark.parametrize(("document", "patch", "expected"), ALLOWED)
def test_what_the_rfc_allows_is_applied(document: Any, patch: list[Operation], expected: Any) -> None:
    assert same(apply(document, patch), expected)
    assert same(oracle(document, patch), expected)


NOT_ALLOWED: list[tuple[Any, Operation]] = [
    ({"a": True}, check("/a", 1)),
    ({"a": [False]}, check("/a", [0])),
    ({"a": 2**53 + 1}, check("/a", 2.0**53)),
    ({}, check("/a", None)),
    ({"a": None}, {"op": "test", "path": "/a"}),
    ([1, 2], check("/-", 2)),
    ([1, 2], remove("/01")),
    ([1, 2], remove("/-0")),
    ([1, 2], remove("/1e0")),
    ([1, 2], remove("/+1")),
    ([1, 2], remove("/ 1")),
    ([1, 2], remove("/1\n")),
    ([1, 2], remove("/\u0661")),
    ([1, 2], remove("/\uff11")),
    ([1, 2], remove("/\u00b2")),
    ([1, 2], remove("/")),
    ([1, 2], remove("/-")),
    ([1, 2], remove("/2")),
    ([1, 2], remove("/" + "9" * 30)),
    ([1, 2], remove("/" + "9" * 5000)),
    ([1, 2], replace("/-", 3)),
    ([1, 2], replace("/2", 3)),
    ([1, 2], add("/3", 4)),
    ([1, 2], copy("/-", "/0")),
    ([1, 2], move("/-", "/0")),
    ([1, 2], move("/0", "/2")),
    ([0, [1], 2], move("/0", "/1/0")),
    ({"a": {"b": 1}}, move("/a", "/a/b")),
    ({"a": 1}, move("", "/a")),
    ({"a": 1}, move("/b", "/b")),
    ({"a": 1}, remove("")),
    ({"a": 1}, remove("/b")),
    ({"a": 1}, replace("/b", 2)),
    ({"a b": 1}, remove("/a%20b")),
    ({"~2": 1}, remove("/~2")),
    ({"~": 1}, remove("/~")),
    ({"a": 1}, remove("a")),
    ({"a": 1}, remove("#/a")),
    ({"a": "text"}, remove("/a/0")),
    ({"a": "text"}, add("/a/-", "x")),
    ({"a": "text"}, check("/a/0", "t")),
    ({"a": None}, add("/a/b", 1)),
    (1, add("/a", 1)),
    ({"a": 1}, {"op": "add", "path": "/b"}),
    ({"a": 1}, {"op": "replace", "path": "/a"}),
    ({"a": 1}, {"op": "add", "value": 1}),
    ({"a": 1}, {"op": "move", "path": "/b"}),
    ({"a": 1}, {"op": "copy", "from": 1, "path": "/b"}),
    ({"a": 1}, {"op": "add", "path": 1, "value": 1}),
    ({"a": 1}, {"op": "add", "path": ["a"], "value": 1}),
    ({"a": 1}, {"op": "add", "path": None, "value": 1}),
    ({"a": 1}, {"op": "append", "path": "/a", "value": 1}),
    ({"a": 1}, {"op": "Add", "path": "/b", "value": 1}),
    ({"a": 1}, {"op": ["add"], "path": "/b", "value": 1}),
    ({"a": 1}, {"path": "/b", "value": 1}),
]


@pytest.mark.parametrize(("document", "operation"), NOT_ALLOWED)
def test_what_the_rfc_does_not_allow_is_refused(document: Any, operation: Operation) -> None:
    assert outcome(document, [operation]) == REFUSED
    assert oracle(document, [operation]) == REFUSED


@pytest.mark.parametrize(
    "operations", [{"op": "remove", "path": "/a"}, ["remove"], [None], [1], None, 1, "x"]
)
def test_what_is_no_list_of_operations_is_refused(operations: Any) -> None:
    with pytest.raises(PatchError):
        apply({"a": 1}, operations)
