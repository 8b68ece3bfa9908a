import datetime
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from support.logs import changeset, value_changeset
from support.strategies import changesets, near, texts
from threadlog.store import Changeset, Message, ThreadMetadata, ToolCall, TrackedPatch
from threadlog.store.codec import FORMAT, GENESIS, decode, encode, encoded, file_digest, row_digest
from threadlog.store.document import MAX_BYTES, MAX_DEPTH, same
from threadlog.store.errors import ContentError, CorruptLog, NewerFormat


def as_json(item: Changeset) -> Any:
    return item.model_dump(mode="json")


def tampered(value: Any) -> Changeset:
    """A changeset whose patch was changed after it was made: frozen records have dicts in them."""
    made = value_changeset("/a", 0)
    made.patches[0].operations[0]["value"] = value
    return made


@given(changesets)
def test_a_changeset_survives_encoding(item: Changeset) -> None:
    """decode(encode(c)) == c, as records and as JSON"""
    back = decode(encode(item), version=item.version)

    assert back == item
    assert same(as_json(back), as_json(item))
    assert encode(back) == encode(item)


@given(near, near)
def test_equal_bytes_mean_equal_json(a: Any, b: Any) -> None:
    """encode(c with a) == encode(c with b) if and only if a and b are the same JSON"""
    assert (encode(value_changeset("/a", a)) == encode(value_changeset("/a", b))) == same(a, b)


@given(changesets, st.integers(1, 2**40))
def test_the_version_is_not_in_the_bytes(item: Changeset, version: int) -> None:
    """encode(c) == encode(c at another version)"""
    assert encode(item) == encode(item.model_copy(update={"version": version}))


@given(changesets)
def test_the_encoded_patches_are_independent_copies(item: Changeset) -> None:
    """encoded(c).patches == c.patches, and changing the ones does not change the others"""
    made, before = encoded(item), as_json(item)
    assert [patch["operations"] for patch in made.patches] == [patch.operations for patch in item.patches]

    for patch in made.patches:
        for operation in patch["operations"]:
            operation.clear()

    assert same(as_json(item), before)


@given(texts)
def test_provider_content_is_kept_byte_for_byte(text: str) -> None:
    """decode(encode(m)).provider == m.provider: spaces, order of keys and all"""
    provider = f'{{"b": 1,  "a": [2], "b": "{text}"}}'
    item = changeset(messages=(Message(id="m", role="assistant", provider=provider),))

    assert decode(encode(item), version=1).messages[0].provider == provider


def test_the_bytes_and_digests_of_a_released_format_never_change() -> None:
    item = changeset(
        messages=(Message(id="m1", role="user", content="Drei Tage in Köln"),),
        patches=(TrackedPatch(operations=({"value": -0.0, "path": "/a", "op": "add"},), source="s"),),
        thread=ThreadMetadata(labels={"b": "2", "a": "1"}),
        at=1_700_000_000_000_000,
    )
    written = (
        '{"at":1700000000000000,"id":"c1",'
        '"messages":[{"content":"Drei Tage in Köln","id":"m1","role":"user"}],'
        '"patches":[{"operations":[{"op":"add","path":"/a","value":-0.0}],"source":"s"}],"reason":"edited",'
        '"thread":{"labels":{"a":"1","b":"2"}},"thread_id":"t1"}'
    ).encode()

    assert encode(item) == written
    digest = row_digest(GENESIS, version=1, format=1, content=written)
    assert digest.hex() == "3980abcf3ed603fbed37b60536824a38af127afb23d693822822464481f42d10"
    assert (
        file_digest(GENESIS, position=1, digest=digest).hex()
        == "84213c1754a4d2acf0da553adf47f2b51bf2e195143af2a84468b691e6074728"
    )


def test_null_and_nan_are_told_apart() -> None:
    item = value_changeset("/a", {"b": [None]})

    assert decode(encode(item), version=0) == item
    with pytest.raises(ContentError) as refused:
        encode(tampered({"b": [None, math.nan]}))
    assert refused.value.pointer == "/patches/0/operations/0/value/b/1"


@pytest.mark.parametrize("value", [(1, 2), {1, 2}, {1: 2}, datetime.date(2026, 1, 1), b"x", [object()]])
def test_a_record_modified_by_force_is_not_encoded(value: Any) -> None:
    with pytest.raises(ContentError):
        encode(tampered(value))


@pytest.mark.parametrize("fields", [{"id": 5}, {"at": 1.5}, {"run": 5}, {"messages": ["hello"]}])
def test_unvalidated_content_is_not_encoded(fields: dict[str, Any]) -> None:
    with pytest.raises(ContentError):
        encode(changeset().model_copy(update=fields))


OUTSIDE_JSON = [math.nan, math.inf, {"b": [math.nan]}, (1, 2), {1, 2}, b"x", object(), {1: 2}]


@pytest.mark.parametrize("value", OUTSIDE_JSON)
def test_a_record_accepts_json_only(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        value_changeset("/a", value)

    assert refused.value.errors()[0]["loc"][:3] == ("operations", 0, "value")


BEYOND_THE_LOG = [2**64, -(2**63) - 1, "\ud800", {"b": "\udfff"}, {"\ud800": 1}]


@pytest.mark.parametrize("value", BEYOND_THE_LOG)
def test_values_that_would_not_survive_are_not_encoded(value: Any) -> None:
    with pytest.raises(ContentError) as refused:
        encode(value_changeset("/a", value))

    assert refused.value.pointer.startswith("/patches/0/operations/0/value")


def test_a_changeset_deeper_than_the_limit_is_refused() -> None:
    value: Any = 0
    for _ in range(MAX_DEPTH):
        value = [value]

    assert encode(value_changeset("/a", value))
    with pytest.raises(ContentError, match="nested deeper"):
        encode(value_changeset("/a", [[[[value]]]]))


def test_a_changeset_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(ContentError, match="more than the limit"):
        encode(changeset(messages=(Message(id="m", role="user", content="x" * MAX_BYTES),)))


def test_a_number_too_large_for_a_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="at"):
        changeset(at=2**63)


def test_a_later_format_is_refused_with_advice() -> None:
    with pytest.raises(NewerFormat, match="upgrade"):
        decode(encode(changeset()), version=1, format=FORMAT + 1)


NO_CHANGESETS = [
    b"",
    b"\xff",
    b"null",
    b"{}",
    b'{"at":0,"id":"c1","reason":"edited"}',
    b'{"at":0,"id":"c1","reason":"edited","thread_id":"t1","new":1}',
    b'{"at":0,"id":"c1","reason":"unheard of","thread_id":"t1"}',
    b'{"at":0,"id":"c","messages":[{"id":"m","role":"user","tool_calls":[{}]}],"reason":"edited","thread_id":"t"}',
]


@pytest.mark.parametrize("content", NO_CHANGESETS)
def test_bytes_that_are_no_changeset_are_a_corrupt_log(content: bytes) -> None:
    with pytest.raises(CorruptLog, match="version 7"):
        decode(content, version=7)


def test_a_tool_call_without_arguments_has_an_empty_object() -> None:
    assert ToolCall("search") == ToolCall("search", {}) == ToolCall(name="search", arguments={}, id="")
