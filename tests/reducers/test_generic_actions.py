import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.action_strategies import generic_actions
from support.strategies import documents, json
from threadlog.reducers import Append, Decrement, Delete, Increment, Insert, Merge, Reducers, Remove, Set
from threadlog.reducers.generic import GenericAction
from threadlog.store.document import same
from threadlog.store.errors import ActionError
from threadlog.store.patch import Operation, apply

NOTHING: Any = object()
REDUCERS = Reducers()


class Refused(Exception):
    """What the model raises, with the text that is expected."""


def operations(document: Any, action: GenericAction) -> list[Operation]:
    return REDUCERS.operations(document, REDUCERS.record(action, source="test", call_id="c1"))


def done(document: Any, action: GenericAction) -> Any:
    return apply(document, operations(document, action))


def modelled(document: Any, action: GenericAction) -> Any:
    """What the action gives, said once more, as simply as it can be: by building the document anew."""
    way = [token.replace("~1", "/").replace("~0", "~") for token in action.path.split("/")[1:]]
    if way and way[0].startswith("__"):
        raise Refused(f"{action.path!r} is kept by threadlog itself: choose another name")
    if not way and isinstance(action, Set | Delete | Merge):
        return modelled_root(document, action)
    makes = isinstance(action, Set | Append | Merge)
    return changed(document, way, lambda value: modelled_value(value, action), makes, action.path)


def modelled_root(document: Any, action: Set | Delete | Merge) -> Any:
    own = {k: v for k, v in document.items() if k.startswith("__")} if isinstance(document, dict) else {}
    if isinstance(action, Delete):
        return own or None
    if isinstance(action.value, dict) and any(key.startswith("__") for key in action.value):
        raise Refused("keys that begin with '__' are kept by threadlog itself: choose another name")
    if isinstance(action, Merge):
        return modelled_value(document, action)
    if own and not isinstance(action.value, dict):
        raise Refused("the root must stay an object: threadlog keeps the run's record in it")
    return action.value | own if own else action.value


def changed(value: Any, way: list[str], change: Callable[[Any], Any], makes: bool, path: str) -> Any:
    """The value with `change` done at the end of the way; NOTHING stands for what is not there."""
    if not way:
        return change(value)
    key, rest = way[0], way[1:]
    if isinstance(value, dict) and key in value:
        item = changed(value[key], rest, change, makes, path)
        return {k: item if k == key else v for k, v in value.items() if k != key or item is not NOTHING}
    if isinstance(value, list) and re.fullmatch("0|[1-9][0-9]*", key):
        index = int(key)
        if index < len(value):
            item = changed(value[index], rest, change, makes, path)
            return [*value[:index], *([] if item is NOTHING else [item]), *value[index + 1 :]]
        if makes:
            raise Refused(f"index {key} out of bounds (len: {len(value)}) at path {path!r}")
    if not makes:
        change(NOTHING)
        return value
    return (value if isinstance(value, dict) else {}) | {key: changed(NOTHING, rest, change, makes, path)}


def modelled_value(value: Any, action: GenericAction) -> Any:
    match action:
        case Set():
            return action.value
        case Delete():
            return NOTHING
        case Append() if value is NOTHING or value is None or isinstance(value, list):
            return [*(value if isinstance(value, list) else []), action.value]
        case Append():
            raise Refused(f"append requires array value at {action.path!r}")
        case Merge() if value is NOTHING or value is None or isinstance(value, dict):
            return (value if isinstance(value, dict) else {}) | action.value
        case Merge():
            raise Refused(f"merge requires object value at {action.path!r}")
        case Insert() | Remove():
            return modelled_array(value, action)
        case Increment() | Decrement():
            return modelled_number(value, action)


def modelled_array(value: Any, action: Insert | Remove) -> Any:
    if value is NOTHING:
        raise Refused(f"path not found: {action.path!r}")
    if not isinstance(value, list):
        raise Refused(f"type mismatch at {action.path!r}: expected array, found {json_type(value)}")
    if isinstance(action, Insert):
        if not 0 <= action.index <= len(value):
            raise Refused(f"index {action.index} out of bounds (len: {len(value)}) at path {action.path!r}")
        return [*value[: action.index], action.value, *value[action.index :]]
    first = next((n for n, item in enumerate(value) if same(item, action.value)), len(value))
    return value[:first] + value[first + 1 :]


def modelled_number(value: Any, action: Increment | Decrement) -> Any:
    if value is NOTHING:
        raise Refused(f"path not found: {action.path!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"numeric operation requires number at {action.path!r}")
    word, sign = ("increment", "+") if isinstance(action, Increment) else ("decrement", "-")
    total = value + action.amount if sign == "+" else value - action.amount
    if isinstance(total, int) and not -(2**63) <= total <= 2**63 - 1:
        raise Refused(
            f"invalid operation: {word} overflow at {action.path!r}: {value} {sign} {action.amount}"
        )
    if total in (float("inf"), float("-inf")):
        raise Refused(f"invalid operation: {word} produced non-finite value at {action.path!r}")
    return total


def json_type(value: Any) -> str:
    names = {"null": type(None), "boolean": bool, "number": int | float, "string": str, "object": dict}
    return next(name for name, kind in names.items() if isinstance(value, kind))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, GenericAction]:
    own = st.just({"__run": {"id": "r1", "list": [1]}})
    document = draw(documents | json | st.builds(dict.__or__, documents, own))
    action = draw(generic_actions(document))
    assert isinstance(action, GenericAction)
    return document, action


@given(cases())
@example(({"n": -0.0}, Decrement("/n", 0)))
@example(([1], Merge("", {"a": 1})))
def test_a_generic_action_does_what_its_model_does(case: tuple[Any, GenericAction]) -> None:
    """apply(d, operations(d, action)) == modelled(d, action), refusals too, and `d` is left alone"""
    document, action = case
    before = deepcopy(document)

    try:
        expected = modelled(before, action)
    except Refused as refusal:
        with pytest.raises(ActionError, match=f"^{re.escape(str(refusal))}$"):
            operations(document, action)
    else:
        assert same(done(document, action), expected)
        assert same(document, before)


@given(cases())
@example(({"n": 2**63}, Set("/n", 2**63)))
@example(({"n": 1}, Set("/n", 1.0)))
def test_an_action_has_no_operation_exactly_when_it_changes_nothing(case: tuple[Any, GenericAction]) -> None:
    """operations(d, action) == [] if and only if apply(d, operations(d, action)) == d"""
    document, action = case
    try:
        made = operations(document, action)
    except ActionError:
        return

    assert (made == []) == same(apply(document, made), document)


DONE: list[tuple[Any, GenericAction, Any]] = [
    ({}, Set("/a/b", 1), {"a": {"b": 1}}),
    ({"a": {"x": 1}}, Set("/a/b", 2), {"a": {"x": 1, "b": 2}}),
    ({"a": None}, Set("/a/b", 1), {"a": {"b": 1}}),
    ({"a": "text"}, Set("/a/b/c", 1), {"a": {"b": {"c": 1}}}),
    ({"a": [1, 2]}, Set("/a/b", 1), {"a": {"b": 1}}),
    ({"a": [1, 2]}, Set("/a/-", 1), {"a": {"-": 1}}),
    ({"a": [1, 2]}, Set("/a/01", 1), {"a": {"01": 1}}),
    ({"a": [{"b": 1}]}, Set("/a/0/b", 2), {"a": [{"b": 2}]}),
    ({"a": [1]}, Set("", {"b": 2}), {"b": 2}),
    ({"a": 1}, Set("", [1]), [1]),
    ({"a": 1}, Delete("/a"), {}),
    ({"a": [1, 2, 3]}, Delete("/a/1"), {"a": [1, 3]}),
    ({"a": 1}, Delete("/b"), {"a": 1}),
    ({"a": 1}, Delete("/a/b/c"), {"a": 1}),
    ({"a": [1]}, Delete("/a/1"), {"a": [1]}),
    ({"a": [1]}, Delete("/a/-"), {"a": [1]}),
    ({"a": 1}, Delete(""), None),
    ({}, Append("/a/b", 1), {"a": {"b": [1]}}),
    ({"a": None}, Append("/a", 1), {"a": [1]}),
    ({"a": [1]}, Append("/a", [2]), {"a": [1, [2]]}),
    ({"a": [1, 2]}, Append("/a/b", 1), {"a": {"b": [1]}}),
    ({"a": [1, 3]}, Insert("/a", 1, 2), {"a": [1, 2, 3]}),
    ({"a": [1]}, Insert("/a", 1, 2), {"a": [1, 2]}),
    ({"a": []}, Insert("/a", 0, None), {"a": [None]}),
    ({"a": [1, 2, 1]}, Remove("/a", 1), {"a": [2, 1]}),
    ({"a": [{"b": [1]}, {"b": [2]}]}, Remove("/a", {"b": [2]}), {"a": [{"b": [1]}]}),
    ({"a": [1]}, Remove("/a", 2), {"a": [1]}),
    ({"a": [True, 1.0, 1]}, Remove("/a", 1), {"a": [True, 1.0]}),
    ({}, Merge("/a/b", {"c": 1}), {"a": {"b": {"c": 1}}}),
    ({"a": None}, Merge("/a", {"b": 1}), {"a": {"b": 1}}),
    ({"a": {"b": {"x": 1}, "c": 2}}, Merge("/a", {"b": {"y": 2}}), {"a": {"b": {"y": 2}, "c": 2}}),
    ({"a": 1}, Merge("", {"b": 2}), {"a": 1, "b": 2}),
    ({}, Merge("/a", {}), {"a": {}}),
    ({"n": 1}, Increment("/n"), {"n": 2}),
    ({"n": 1}, Increment("/n", 1.0), {"n": 2.0}),
    ({"n": 1.5}, Increment("/n", 1), {"n": 2.5}),
    ({"n": [5]}, Decrement("/n/0", 2), {"n": [3]}),
    ({"n": 1}, Decrement("/n", 0.5), {"n": 0.5}),
    ({"n": 2**63 - 2}, Increment("/n"), {"n": 2**63 - 1}),
]


@pytest.mark.parametrize(("document", "action", "expected"), DONE)
def test_the_rules_of_the_actions_hold(document: Any, action: GenericAction, expected: Any) -> None:
    """A path is a JSON pointer, not a list of keys and indexes: so a

    token of digits is an index where an array stands, and a key everywhere else.
    """
    assert same(done(document, action), expected)


REFUSED: list[tuple[Any, GenericAction, str]] = [
    ({"a": [1]}, Set("/a/1", 2), "index 1 out of bounds (len: 1) at path '/a/1'"),
    ({"a": [1]}, Set("/a/1/b", 2), "index 1 out of bounds (len: 1) at path '/a/1/b'"),
    ({"a": {}}, Append("/a", 1), "append requires array value at '/a'"),
    ({"a": [[]]}, Append("/a/1", 1), "index 1 out of bounds (len: 1) at path '/a/1'"),
    ({}, Insert("/a", 0, 1), "path not found: '/a'"),
    ({"a": {}}, Insert("/a", 0, 1), "type mismatch at '/a': expected array, found object"),
    ({"a": [1]}, Insert("/a", 2, 1), "index 2 out of bounds (len: 1) at path '/a'"),
    ({"a": [1]}, Insert("/a", -1, 1), "index -1 out of bounds (len: 1) at path '/a'"),
    ({}, Remove("/a", 1), "path not found: '/a'"),
    ({"a": None}, Remove("/a", 1), "type mismatch at '/a': expected array, found null"),
    ({"a": True}, Remove("/a", 1), "type mismatch at '/a': expected array, found boolean"),
    ({"a": 1.5}, Remove("/a", 1), "type mismatch at '/a': expected array, found number"),
    ({"a": "x"}, Remove("/a", 1), "type mismatch at '/a': expected array, found string"),
    ({"a": []}, Merge("/a", {"b": 1}), "merge requires object value at '/a'"),
    ({"a": 1}, Merge("/a", {}), "merge requires object value at '/a'"),
    ([1], Merge("", {"a": 1}), "merge requires object value at ''"),
    ({}, Increment("/n"), "path not found: '/n'"),
    ({"n": "1"}, Increment("/n"), "numeric operation requires number at '/n'"),
    ({"n": True}, Decrement("/n"), "numeric operation requires number at '/n'"),
    (
        {"n": 2**63 - 1},
        Increment("/n"),
        "invalid operation: increment overflow at '/n': 9223372036854775807 + 1",
    ),
    (
        {"n": -(2**63)},
        Decrement("/n", 2),
        "invalid operation: decrement overflow at '/n': -9223372036854775808 - 2",
    ),
    ({"n": 1e308}, Increment("/n", 1e308), "invalid operation: increment produced non-finite value at '/n'"),
    ({"n": -1e308}, Decrement("/n", 1e308), "invalid operation: decrement produced non-finite value at '/n'"),
]


@pytest.mark.parametrize(("document", "action", "text"), REFUSED)
def test_what_does_not_fit_is_refused_in_these_words(document: Any, action: GenericAction, text: str) -> None:
    """What went wrong, with the JSON pointer as a Python string.

    Every action reports an index out of bounds with the whole path.
    """
    with pytest.raises(ActionError, match=f"^{re.escape(text)}$"):
        operations(document, action)


WRONG: list[Any] = [
    Set("a", 1),
    Set("/a~2", 1),
    Set(["a"], 1),  # type: ignore[arg-type]
    Set(1, 1),  # type: ignore[arg-type]
    Insert("/a", True, 1),
    Insert("/a", 1.0, 1),  # type: ignore[arg-type]
    Insert("/a", None, 1),  # type: ignore[arg-type]
    Merge("/b", [1]),  # type: ignore[arg-type]
    Merge("", None),  # type: ignore[arg-type]
    Increment("/n", True),
    Increment("/n", "1"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("action", WRONG, ids=repr)
def test_an_action_made_with_values_of_another_type_is_refused(action: GenericAction) -> None:
    with pytest.raises(ActionError):
        operations({"a": [1], "n": 1}, action)


def test_the_root_keeps_what_threadlog_keeps_in_it() -> None:
    """replacing the root leaves the run's record, which is threadlog's own"""
    document = {"__run": {"id": "r1"}, "a": 1}

    assert done(document, Set("", {"b": 2})) == {"__run": {"id": "r1"}, "b": 2}
    assert done(document, Delete("")) == {"__run": {"id": "r1"}}
    assert done(document, Merge("", {"b": 2})) == {"__run": {"id": "r1"}, "a": 1, "b": 2}


@pytest.mark.parametrize("value", [None, 1, [], "text"])
def test_the_root_stays_an_object_while_threadlog_keeps_something_in_it(value: Any) -> None:
    with pytest.raises(ActionError, match="the root must stay an object"):
        operations({"__run": {}}, Set("", value))


@pytest.mark.parametrize("action", [Set("", {"__run": {}}), Merge("", {"__mine": 1})])
def test_the_root_gets_no_key_that_threadlog_might_keep(action: GenericAction) -> None:
    with pytest.raises(ActionError, match="keys that begin with '__'"):
        operations({}, action)


def test_only_the_fields_that_differ_are_merged() -> None:
    document = {"a": {"b": 1, "c": 2}}

    assert operations(document, Merge("/a", {"d": 3, "c": 4, "b": 1})) == [
        {"op": "replace", "path": "/a/c", "value": 4},
        {"op": "add", "path": "/a/d", "value": 3},
    ]


@given(json)
def test_what_an_action_was_made_of_may_be_changed_after_it(value: Any) -> None:
    """The record has values of its own: what the caller does with his does not reach the log"""
    given = [value, {"k": value}]
    record = REDUCERS.record(Set("/a", given), source="test")
    before = deepcopy(given)

    given.append(1)
    given[1].clear()

    assert same(record.payload["value"], before)
