from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.log_files import open_sqlite
from support.logs import changeset, patch_changeset
from support.tampered_log import copied, found, names, readings, rewrite, written
from threadlog.store import Log, TrackedPatch
from threadlog.store.database import Connection
from threadlog.store.errors import CorruptLog, LogUnavailable, NewerFormat, NotALog

pytestmark = pytest.mark.usefixtures("snapshots_often")

positions = st.integers(1, 14)


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("drop trigger changeset_is_never_changed", "trigger changeset_is_never_changed is missing"),
        ("drop trigger thread_is_appended", "trigger thread_is_appended is missing"),
        ("drop index run_by_thread", "index run_by_thread is missing"),
        ("drop table message", "table message is missing"),
        ("create table note (a)", "table note is not threadlog's"),
        ("create view note as select 1", "view note is not threadlog's"),
        ("alter table run add column note text", "table run was changed"),
    ],
)
def test_a_changed_schema_is_found(log: Log, path: Path, statement: str, detail: str) -> None:
    log.append(changeset(), 0)
    with open_sqlite(path) as connection:
        connection.execute(statement)

    assert ("schema", detail) in [finding[:2] for finding in log.verify()]


def test_a_trigger_that_was_weakened_is_found(log: Log, path: Path) -> None:
    name = "changeset_is_never_deleted"
    with open_sqlite(path) as connection:
        connection.execute(f"drop trigger {name}")
        connection.execute(f"create trigger {name} before delete on changeset begin select 1; end")

    assert [finding.detail for finding in log.verify()] == [f"trigger {name} was changed"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "content"),
        (b"\xff", "content"),
        (b"[]", "patch"),
        (b"null", "patch"),
        (b'{"patches":[{}]}', "patch"),
        (b'{"patches":7}', "patch"),
        (b"[" * 5000, "patch"),
    ],
)
def test_a_content_of_null_is_found(content: bytes, kind: str) -> None:
    def change(connection: Connection) -> None:
        connection.execute("update changeset set content = ? where position = 4", (content,))

    findings = found(change)

    assert names(findings, written().rows[3])
    assert kind in {finding.kind for finding in findings}


def test_a_patch_that_does_not_apply_is_found_and_named() -> None:
    item = patch_changeset({"op": "remove", "path": "/nowhere"}, id="c5", thread_id="t3")
    content = item.model_dump_json(exclude_defaults=True).encode()

    def change(connection: Connection) -> None:
        connection.execute("update changeset set content = ? where position = 5", (content,))
        rewrite(connection)

    assert ("patch", "t3", 2) in [(f.kind, f.thread, f.version) for f in found(change)]


def test_a_content_that_is_not_canonical_is_found_though_the_digests_fit() -> None:
    def change(connection: Connection) -> None:
        forged = "cast(replace(content, '{\"at\"', '{ \"at\"') as blob)"
        connection.execute(f"update changeset set content = {forged} where position = 5")
        rewrite(connection)

    assert [finding[:3:2] for finding in found(change)] == [("content", 5)]


REFUSALS = (CorruptLog, NotALog, NewerFormat, LogUnavailable)


def outcome(content: bytes) -> Any:
    """What a damaged file gives: a refusal, findings, or all that is read from it."""
    with copied(content) as path:
        try:
            with Log.open(path, readonly=True) as log:
                return log.verify(written().heads) or readings(log)
        except REFUSALS as refusal:
            return [refusal]


def flipped(offset: int, bit: int) -> bytes:
    content = bytearray(written().file)
    content[offset] ^= 1 << bit
    return bytes(content)


@given(st.data(), st.integers(0, 7))
def test_a_flipped_bit_is_found_or_was_never_read(data: st.DataObject, bit: int) -> None:
    """one bit changed anywhere in the file => a finding or a refusal, or everything reads as before"""
    offset = data.draw(st.integers(0, len(written().file) - 1))

    result = outcome(flipped(offset, bit))

    assert isinstance(result, list) or result == written().readings


@given(positions, st.data(), st.integers(0, 7))
def test_a_flipped_bit_in_a_changeset_is_found(position: int, data: st.DataObject, bit: int) -> None:
    """one bit changed in the content of a row => a finding or a refusal"""
    with copied() as path, open_sqlite(path) as connection:
        (content,) = connection.execute(
            "select content from changeset where position = ?", (position,)
        ).fetchone()
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]

    # Wherever it stands: SQLite leaves copies behind in pages it has split.
    assert isinstance(outcome(written().file.replace(content, changed)), list)


@given(st.data())
def test_a_file_cut_short_is_found(data: st.DataObject) -> None:
    """the file without its end => a finding or a refusal"""
    length = data.draw(st.integers(1, len(written().file) - 1))

    assert isinstance(outcome(written().file[:length]), list)


@given(st.data(), st.integers(0, 7))
def test_a_damaged_file_opens_for_writing_or_is_refused_with_advice(data: st.DataObject, bit: int) -> None:
    """one bit changed anywhere => the log opens and appends, or refuses with an error of ours"""
    offset = data.draw(st.integers(0, len(written().file) - 1))
    item = changeset("new", "t1", patches=(TrackedPatch(operations=(), source="test"),))

    with copied(flipped(offset, bit)) as path:
        try:
            with Log.open(path) as log:
                log.append(item, "any")
        except REFUSALS as refusal:
            said = str(refusal)
        else:
            said = str(path)

    assert str(path) in said
