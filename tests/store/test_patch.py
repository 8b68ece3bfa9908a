from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_patches import add, oracle, outcome, remove
from support.strategies import documents, fitting, gaps, json, near, patches, places
from threadlog.store.document import pointer, same
from threadlog.store.errors import ContentError, PatchError
from threadlog.store.patch import MISSING, Draft, apply, diff, find, tokens


@given(json | near, json | near)
def test_a_diff_transforms_one_document_into_the_other(a: Any, b: Any) -> None:
    """apply(a, diff(a, b)) == b, and `a` is unchanged"""
    before = deepcopy(a)

    assert same(apply(a, diff(a, b)), b)
    assert same(a, before)


@given(documents, st.data())
def test_a_diff_transforms_one_state_into_a_later_one(a: Any, data: st.DataObject) -> None:
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
def test_untouched_containers_are_shared(document: Any, data: st.DataObject) -> None:
    """A container that is neither written nor on the path to a write is the same object afterwards."""
    path = data.draw(st.sampled_from([path for path, _ in places(document)]))

    after = dict(places(apply(document, [{"op": "replace", "path": path, "value": 0}])))

    for other, value in places(document):
        if isinstance(value, dict | list) and not f"{path}/".startswith(f"{other}/"):
            assert other.startswith(f"{path}/") or after[other] is value


def test_a_copy_and_its_source_are_independent() -> None:
    draft = Draft({"a": {"list": [1]}})
    draft.apply([{"op": "add", "path": "/a/list/-", "value": 2}, {"op": "copy", "from": "/a", "path": "/b"}])

    draft.apply([{"op": "add", "path": "/b/list/-", "value": 3}, {"op": "remove", "path": "/a/list/0"}])

    assert draft.document == {"a": {"list": [2]}, "b": {"list": [1, 2, 3]}}


def test_a_value_added_twice_is_not_shared() -> None:
    value: dict[str, Any] = {"list": []}
    patch = [{"op": "add", "path": path, "value": value} for path in ("/a", "/b")]

    document = apply({}, [*patch, {"op": "add", "path": "/a/list/-", "value": 1}])

    assert document == {"a": {"list": [1]}, "b": {"list": []}}
    assert value == {"list": []}


def test_a_freed_container_does_not_pass_its_identity_on() -> None:
    """An object that reuses its address is not the draft's own, and is copied before it is changed."""
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
def test_a_pointer_splits_into_its_tokens(parts: list[str]) -> None:
    """tokens(pointer(parts)) == parts"""
    assert tokens(pointer(parts)) == tuple(parts)


@given(documents)
def test_existing_values_are_found_and_others_are_missing(document: Any) -> None:
    """find(d, p) is the very value at p, for every pointer p of d, and MISSING for every other"""
    present = dict(places(document))

    assert all(find(document, path) is value for path, value in present.items())
    assert all(find(document, path) is MISSING for path in gaps(document) if path not in present)


def test_looking_for_a_missing_value_is_no_error_unless_the_pointer_is_malformed() -> None:
    document = {"list": [1], "text": "x"}

    for path in ("/list/1", "/list/01", "/list/" + "9" * 5000, "/text/0", "/text/0/a", "/nowhere"):
        assert find(document, path) is MISSING
    for path in ("list", "/~2"):
        with pytest.raises(ValueError, match="pointer"):
            find(document, path)
