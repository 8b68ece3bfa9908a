import datetime
import enum
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.strategies import json, near
from threadlog.store.document import MAX_BYTES, MAX_DEPTH, depth, dumps, loads, parse, same
from threadlog.store.errors import ContentError


class Colour(enum.Enum):
    RED = "red"


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def reordered(value: Any) -> Any:
    """The same JSON, every object's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(json | near)
def test_a_value_survives_its_bytes(value: Any) -> None:
    """loads(dumps(v)) == v"""
    assert same(loads(dumps(value)), value)


@given(json | near)
def test_a_value_survives_its_text(value: Any) -> None:
    """parse(text of v) == v"""
    assert same(parse(dumps(value).decode()), value)


@given(near, near)
def test_values_have_equal_bytes_exactly_if_they_are_the_same_json(a: Any, b: Any) -> None:
    """dumps(a) == dumps(b) if and only if a and b are the same JSON"""
    assert (dumps(a) == dumps(b)) == same(a, b)


@given(json)
def test_the_order_of_keys_does_not_matter(value: Any) -> None:
    """v and v with its keys in another order are the same, and have the same bytes"""
    assert same(reordered(value), value)
    assert dumps(reordered(value)) == dumps(value)


def test_true_one_and_both_zeros_are_distinct_values() -> None:
    values: list[Any] = [True, 1, 1.0, False, 0, 0.0, -0.0, None, "", "1", [], {}]

    assert len({dumps(value) for value in values}) == len(values)
    assert all(same(a, b) == (a is b) for a in values for b in values)


REFUSED = [
    ({"a": [1, float("nan")]}, "/a/1"),
    ({"a": None, "b": float("-inf")}, "/b"),
    ([2**64], "/0"),
    ([-(2**63) - 1], "/0"),
    ({"a/b": {"~": "\ud800"}}, "/a~1b/~0"),
    ({"a": {"\udfff": 1}}, "/a"),
    ({"a": {1: 2}}, "/a"),
    ({"a": (1, 2)}, "/a"),
    ({"a": {1, 2}}, "/a"),
    ({"a": b"bytes"}, "/a"),
    ({"a": datetime.date(2026, 1, 1)}, "/a"),
    ({"a": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}, "/a"),
    ({"a": uuid.UUID(int=1)}, "/a"),
    ({"a": Colour.RED}, "/a"),
    ({"a": object()}, "/a"),
    ({"a": cyclic()}, "/a" + "/0" * (MAX_DEPTH - 1)),
    (nested(1000), "/0" * MAX_DEPTH),
]


@pytest.mark.parametrize(("value", "place"), REFUSED)
def test_a_value_that_would_not_survive_is_refused_with_its_pointer(value: Any, place: str) -> None:
    with pytest.raises(ContentError) as refused:
        dumps(value)

    assert refused.value.pointer == place


def test_the_ends_of_64_bits_are_kept() -> None:
    assert loads(dumps([-(2**63), 2**64 - 1])) == [-(2**63), 2**64 - 1]


def test_a_value_of_more_bytes_than_the_limit_is_refused() -> None:
    assert len(dumps("x" * (MAX_BYTES - 2))) == MAX_BYTES
    with pytest.raises(ContentError, match="more than the limit"):
        dumps("x" * (MAX_BYTES - 1))


NOT_PARSED = [
    '{"a": 1, "a": 1}',
    '[{"b": {"a": 1, "c": 2, "a": 3}}]',
    "NaN",
    "[Infinity]",
    "-Infinity",
    "1e400",
    str(2**64),
    str(-(2**63) - 1),
    "9" * 5000,
    '"\\ud800"',
    '{"\\udc00": 1}',
    "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "[" * 100_000,
    "",
    "{",
    "[1,]",
    "'a'",
    "1 2",
    "\ufeff1",
]


@pytest.mark.parametrize("text", NOT_PARSED)
def test_text_that_the_log_cannot_store_is_not_parsed(text: str) -> None:
    with pytest.raises(ContentError):
        parse(text)


def test_a_key_given_twice_is_named() -> None:
    with pytest.raises(ContentError, match="'city' is given twice"):
        parse('{"trip": {"city": 1, "days": 2, "city": 3}}')


def test_bytes_that_are_no_json_are_refused() -> None:
    with pytest.raises(ContentError):
        loads(b"\xff")


@given(st.integers(0, MAX_DEPTH))
def test_depth_counts_the_levels_of_nesting(levels: int) -> None:
    """depth(n nested lists) == n, wherever in a document they are"""
    assert depth(nested(levels)) == levels
    assert depth({"a": [1], "b": nested(levels)}) == max(levels + 1, 2)


def test_depth_stops_counting_past_the_limit() -> None:
    assert depth(cyclic()) == depth(nested(1000)) == MAX_DEPTH + 1
