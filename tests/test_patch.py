from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import documents, fitting, gaps, json, near, patches, places

from threadlog.store.document import parse, pointer, same
from threadlog.store.errors import ContentError, PatchError
from threadlog.store.patch import MISSING, Draft, Operation, apply, diff, find, tokens

REFUSED = "refused"


def outcome(document: Any, patch: list[Operation]) -> Any:
    try:
        return apply(document, patch)
    except PatchError:
        return REFUSED


def oracle(document: Any, patch: list[Operation]) -> Any:
    try:
        return jsonpatch.apply_patch(deepcopy(document), deepcopy(patch))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
        return REFUSED


@given(json | near, json | near)
def test_a_diff_leads_from_one_document_to_the_other(a: Any, b: Any) -> None:
    """apply(a, diff(a, b)) == b, and `a` is left alone"""
    before = deepcopy(a)

    assert same(apply(a, diff(a, b)), b)
    assert same(a, before)


@given(documents, st.data())
def test_a_diff_of_two_states_of_one_document_leads_from_one_to_the_other(
    a: Any, data: st.DataObject
) -> None:
    """apply(a, diff(a, b)) == b, where b was made from a by a patch and shares most with it"""
    b = apply(a, data.draw(fitting(a)))

    assert same(apply(a, diff(a, b)), b)


@given(json | near, json | near)
def test_a_diff_is_empty_exactly_between_the_same_documents(a: Any, b: Any) -> None:
    """diff(a, b) == [] if and only if a and b are the same JSON"""
    assert (diff(a, b) == []) == same(a, b)
    assert diff(a, deepcopy(a)) == []


@given(json | near, json | near)
def test_a_diff_is_understood_by_jsonpatch(a: Any, b: Any) -> None:
    """jsonpatch(a, diff(a, b)) == b"""
    assert same(oracle(a, diff(a, b)), b)


@given(documents | json, st.data())
def test_apply_agrees_with_jsonpatch(document: Any, data: st.DataObject) -> None:
    """apply(d, p) == jsonpatch(d, p), where one refuses the other refuses, and `d` and `p` are left alone"""
    patch = data.draw(patches(document))
    before = deepcopy((document, patch))

    assert same(outcome(document, patch), oracle(document, patch))
    assert same([document, patch], [*before])


@given(documents, st.data())
def test_one_draft_fed_many_patches_equals_applying_them_one_by_one(
    document: Any, data: st.DataObject
) -> None:
    """draft(p1), draft(p2), … == apply(apply(d, p1), p2), …, and neither the document nor a patch changes"""
    before, draft, expected, fed = deepcopy(document), Draft(document), document, []
    for _ in range(data.draw(st.integers(0, 4))):
        fed.append(data.draw(fitting(expected)))
        expected = apply(expected, deepcopy(fed[-1]))
    original = deepcopy(fed)

    for patch in fed:
        draft.apply(patch)

    assert same(draft.document, expected)
    assert same([document, fed], [before, original])


@given(documents, st.data())
def test_what_no_operation_touches_is_shared(document: Any, data: st.DataObject) -> None:
    """a container that is neither the written one nor on the way to it is the same object after"""
    path = data.draw(st.sampled_from([path for path, _ in places(document)]))

    after = dict(places(apply(document, [{"op": "replace", "path": path, "value": 0}])))

    for other, value in places(document):
        if isinstance(value, dict | list) and not f"{path}/".startswith(f"{other}/"):
            assert other.startswith(f"{path}/") or after[other] is value


def test_a_copy_and_its_source_go_separate_ways() -> None:
    draft = Draft({"a": {"list": [1]}})
    draft.apply([{"op": "add", "path": "/a/list/-", "value": 2}, {"op": "copy", "from": "/a", "path": "/b"}])

    draft.apply([{"op": "add", "path": "/b/list/-", "value": 3}, {"op": "remove", "path": "/a/list/0"}])

    assert draft.document == {"a": {"list": [2]}, "b": {"list": [1, 2, 3]}}


def test_a_value_added_twice_is_not_one_value() -> None:
    value: dict[str, Any] = {"list": []}
    patch = [{"op": "add", "path": path, "value": value} for path in ("/a", "/b")]

    document = apply({}, [*patch, {"op": "add", "path": "/a/list/-", "value": 1}])

    assert document == {"a": {"list": [1]}, "b": {"list": []}}
    assert value == {"list": []}


def test_a_container_that_is_gone_does_not_pass_its_identity_on() -> None:
    """What comes next at its address is not the draft's own, and is copied before it is changed."""
    draft = Draft({})
    draft.apply([add("/a", {}), add("/a/x", 1), remove("/a")])
    given: list[dict[str, Any]] = [{} for _ in range(200)]

    for value in given:
        draft.apply([add("/a", value), add("/a/x", 1), remove("/a")])

    assert given == [{}] * 200


def test_a_failing_patch_changes_nothing_and_names_its_operation() -> None:
    document = {"a": 1}
    patch = [{"op": "remove", "path": "/a"}, {"op": "remove", "path": "/a"}]

    with pytest.raises(PatchError) as refused:
        apply(document, patch)

    assert (refused.value.index, refused.value.operation) == (1, patch[1])
    assert document == {"a": 1}


def test_a_patch_may_be_any_iterable_of_operations() -> None:
    assert apply([], ({"op": "add", "path": "/-", "value": n} for n in range(3))) == [0, 1, 2]


@given(st.lists(json, min_size=1, max_size=6), st.data())
def test_an_insertion_into_a_list_is_one_operation(items: list[Any], data: st.DataObject) -> None:
    """len(diff(items, items with one more)) == len(diff(items with one more, items)) == 1"""
    at = data.draw(st.integers(0, len(items)))
    longer = [*items[:at], data.draw(json), *items[at:]]

    assert len(diff(items, longer)) == len(diff(longer, items)) == 1


def test_a_diff_names_the_field_that_differs_and_nothing_else() -> None:
    a = {"trip": {"city": "Kyoto", "days": [1, 2, {"hotel": "A"}]}, "other": [1]}
    b = {"trip": {"city": "Kyoto", "days": [1, 2, {"hotel": "B"}]}, "other": [1]}

    assert diff(a, b) == [{"op": "replace", "path": "/trip/days/2/hotel", "value": "B"}]


def test_a_document_too_deep_to_be_compared_is_refused() -> None:
    a: Any = []
    b: Any = [1]
    for _ in range(5000):
        a, b = [a], [b]

    with pytest.raises(ContentError, match="too deep"):
        diff(a, b)


@given(st.lists(st.text(max_size=3) | st.sampled_from(["~", "/", "~1", "~0", ""])))
def test_a_pointer_comes_apart_into_the_tokens_it_was_made_of(parts: list[str]) -> None:
    """tokens(pointer(parts)) == parts"""
    assert tokens(pointer(parts)) == tuple(parts)


@given(documents)
def test_what_is_there_is_found_and_what_is_not_is_missing(document: Any) -> None:
    """find(d, p) is the very value at p, for every pointer p of d, and MISSING for every other"""
    present = dict(places(document))

    assert all(find(document, path) is value for path, value in present.items())
    assert all(find(document, path) is MISSING for path in gaps(document) if path not in present)


def test_to_look_for_a_place_is_no_error_unless_it_is_no_pointer() -> None:
    document = {"list": [1], "text": "x"}

    for path in ("/list/1", "/list/01", "/list/" + "9" * 5000, "/text/0", "/text/0/a", "/nowhere"):
        assert find(document, path) is MISSING
    for path in ("list", "/~2"):
        with pytest.raises(ValueError, match="pointer"):
            find(document, path)


def add(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def remove(path: str) -> Operation:
    return {"op": "remove", "path": path}


def replace(path: str, value: Any) -> Operation:
    return {"op": "replace", "path": path, "value": value}


def move(source: str, path: str) -> Operation:
    return {"op": "move", "from": source, "path": path}


def copy(source: str, path: str) -> Operation:
    return {"op": "copy", "from": source, "path": path}


def check(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}


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


def test_an_operation_has_one_op_because_a_key_given_twice_is_refused_when_read() -> None:
    """A.13 of RFC 6902: two `op` members are an error, which only the parser can see"""
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
