from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.log_files import DERIVED_TABLES, open_without_triggers
from support.logs import append_all, changeset, fresh_log
from support.strategies import histories
from support.tampered_log import Row, copied, found, names, rewrite, written
from threadlog.store import Changeset, Log
from threadlog.store.database import Connection

pytestmark = pytest.mark.usefixtures("snapshots_often")

COLUMNS = ("position", "thread", "version", "id", "format", "content", "digest", "file_digest")
positions = st.integers(1, 14)


def values(kind: str, old: Any) -> st.SearchStrategy[Any]:
    """Other values that a column of a strict table takes."""
    if kind.upper() == "INTEGER":
        near = st.integers(-2, 20) if old is None else st.sampled_from([old - 1, old + 1, -old])
        return (near | st.integers(-(2**63), 2**63 - 1)).filter(lambda new: new != old)
    if kind.upper() == "TEXT":
        return (st.text(max_size=5) | st.sampled_from(["t1", "c1", "r1", "{}"])).filter(
            lambda new: new != old
        )
    changed = st.integers(0, len(old) - 1).map(lambda n: old[:n] + bytes([old[n] ^ 1]) + old[n + 1 :])
    cut = st.integers(0, len(old) - 1).map(lambda n: old[:n])
    return changed | cut | st.binary(max_size=5).map(lambda more: old + b" " + more)


@given(histories(longest=12), histories(longest=4))
def test_an_intact_log_gives_no_finding(history: list[Changeset], more: list[Changeset]) -> None:
    """verify(heads at any time before) == [] for every log that was only appended to"""
    with fresh_log() as log:
        heads = [log.heads()]
        append_all(log, history)
        heads.append(log.heads())
        for n, _ in enumerate(more):
            log.append(changeset(f"more{n}", "t1"), "any")

        assert log.verify() == []
        assert [log.verify(each) for each in heads] == [[], []]


# One row of the log


@pytest.mark.parametrize("column", COLUMNS)
@given(st.data())
def test_a_changed_cell_is_found_and_its_row_named(column: str, data: st.DataObject) -> None:
    """a changeset row with one column changed => a finding names its position, or its thread and version"""
    row = data.draw(st.sampled_from(written().rows))

    def change(connection: Connection) -> None:
        where = f"from changeset where position = {row.position}"
        kind, old = connection.execute(
            f"select (select type from pragma_table_info('changeset') where name = ?), {column} {where}",
            (column,),
        ).fetchone()
        new = data.draw(values(kind, old))
        connection.execute(f"update changeset set {column} = ? where position = ?", (new, row.position))

    assert names(found(change), row)


@given(positions)
def test_a_removed_row_is_found_and_its_place_named(position: int) -> None:
    """a changeset row removed => a finding names its position or the next; the last one needs the heads"""
    row = written().rows[position - 1]

    def remove(connection: Connection) -> None:
        connection.execute("delete from changeset where position = ?", (position,))

    after = [each for each in written().rows if each.position == position + 1]
    assert names(found(remove, heads=not after), *after or [row])


def places() -> st.SearchStrategy[Row]:
    """Where a row can be put in that no unique key keeps out."""
    taken = written().rows
    free = [position for position in range(-1, 21) if position not in {row.position for row in taken}]
    versions = [
        (thread, version)
        for thread in ("t1", "t2", "t3")
        for version in range(-1, 21)
        if (thread, version) not in {row[1:] for row in taken}
    ]
    return st.builds(
        lambda position, place: Row(position, *place), st.sampled_from(free), st.sampled_from(versions)
    )


@given(positions, st.deferred(places))
def test_an_added_row_is_found_and_named(like: int, row: Row) -> None:
    """a changeset row inserted that no append wrote => a finding names its position"""

    def add(connection: Connection) -> None:
        connection.execute(
            "insert into changeset select ?, (select key from thread where name = ?), ?, 'added', format,"
            " content, digest, file_digest from changeset where position = ?",
            (row.position, row.thread, row.version, like),
        )

    assert names(found(add), row)


def swappable(column: str) -> st.SearchStrategy[tuple[Row, Row]]:
    """Pairs of rows that have different values there, and that no unique key keeps from being swapped."""
    held = {"thread": "version", "version": "thread"}.get(column)
    pairs = [
        (a, b)
        for a, b in combinations(written().rows, 2)
        if not held or (getattr(a, held) == getattr(b, held) and a[1:] != b[1:])
    ]
    return st.sampled_from(pairs)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "format"])
@given(st.data())
def test_two_rows_that_are_swapped_are_found_and_named(column: str, data: st.DataObject) -> None:
    """the values of a column swapped between two rows => a finding names one of them"""
    a, b = data.draw(swappable(column))

    def swap(connection: Connection) -> None:
        select = f"select rowid, {column} from changeset where position = ?"
        (one, first), (other, second) = (connection.execute(select, row[:1]).fetchone() for row in (a, b))
        update = f"update changeset set {column} = ? where position = ?"
        aside = {int: 99, str: "aside", bytes: b"aside"}[type(first)]
        connection.execute(update, (aside, one))
        connection.execute(update, (first, other))
        connection.execute(update, (second, 99 if column == "position" else one))

    assert names(found(swap), a, b)


@pytest.mark.parametrize("column", ["key", "name"])
@given(st.data())
def test_a_changed_thread_is_found_and_its_rows_named(column: str, data: st.DataObject) -> None:
    """a thread row with one column changed => a finding names every changeset of the thread"""
    thread = data.draw(st.sampled_from(["t1", "t2", "t3"]))

    def change(connection: Connection) -> None:
        select = f"select typeof({column}), {column} from thread where name = ?"
        new = data.draw(values(*connection.execute(select, (thread,)).fetchone()))
        connection.execute(f"update thread set {column} = ? where name = ?", (new, thread))

    findings = found(change)
    assert all(names(findings, row) for row in written().rows if row.thread == thread)


@given(st.sampled_from(["t1", "t2", "t3"]))
def test_a_removed_thread_is_found_and_its_rows_named(thread: str) -> None:
    """a thread row removed => a finding names every changeset of the thread"""
    findings = found(lambda connection: connection.execute("delete from thread where name = ?", (thread,)))

    assert all(names(findings, row) for row in written().rows if row.thread == thread)


@given(st.integers(-1, 9), st.text(max_size=3))
def test_an_added_thread_is_found_and_named(key: int, name: str) -> None:
    """a thread row inserted without a changeset => a finding names it"""
    findings = found(lambda connection: connection.execute("insert into thread values (?, ?)", (key, name)))

    assert name in [finding.thread for finding in findings]


def test_every_change_is_found_not_only_the_first() -> None:
    def change(connection: Connection) -> None:
        connection.execute("update changeset set id = 'x' where position = 2")
        connection.execute("update changeset set content = x'7b7d' where position = 9")
        connection.execute("delete from message where id = 'm5'")

    findings = found(change)

    assert names(findings, written().rows[1])
    assert names(findings, written().rows[8])
    assert any(f.kind == "derived" and "'m5'" in f.detail for f in findings)


def test_a_finding_says_what_is_wrong_and_where() -> None:
    findings = found(
        lambda connection: connection.execute("update changeset set id = 'x' where position = 2")
    )

    assert [str(finding) for finding in findings] == [
        "content: position 2, thread 't3', version 1: the row says id 'x', the content 'c2'"
    ]


def test_valid_replacement_content_is_found_by_its_digest() -> None:
    """a row whose content is another canonical changeset of the same id, thread and version"""

    def change(connection: Connection) -> None:
        (content,) = connection.execute("select content from changeset where position = 2").fetchone()
        later = content.replace(b'"at":2', b'"at":9')
        connection.execute("update changeset set content = ? where position = 2", (later,))

    kinds = {(finding.kind, finding.position) for finding in found(change)}

    assert ("digest", 2) in kinds
    assert "content" not in {kind for kind, _ in kinds}


# What only heads that were kept elsewhere can show


@given(st.integers(1, 13))
def test_a_truncated_log_is_found_by_saved_heads(kept: int) -> None:
    """the last rows removed and everything made to fit => only the heads show it, and where the end was"""
    with copied() as path:
        with open_without_triggers(path) as connection:
            connection.execute("delete from changeset where position > ?", (kept,))
            connection.execute("delete from thread where key not in (select thread from changeset)")
        with Log.open(path) as log:
            log.rebuild()

            assert log.verify() == []
            findings = log.verify(written().heads)
            assert {finding.kind for finding in findings} == {"head"}
            assert names(findings, written().rows[-1])


@given(positions)
def test_a_rewritten_history_is_found_by_saved_heads(position: int) -> None:
    """one content changed and everything made to fit => only the heads show it, and in which thread"""
    row = written().rows[position - 1]
    with copied() as path:
        with open_without_triggers(path) as connection:
            forged = "cast(replace(content, 'hello', 'howdy') as blob)"
            connection.execute(f"update changeset set content = {forged} where position = ?", (position,))
            rewrite(connection)
        with Log.open(path) as log:
            log.rebuild()

            assert log.verify() == []
            assert row.thread in [finding.thread for finding in log.verify(written().heads)]


# The derived tables


@pytest.mark.parametrize("table", DERIVED_TABLES)
@given(st.data())
def test_a_changed_cell_of_a_derived_table_is_found(table: str, data: st.DataObject) -> None:
    """a derived row with one column changed => a finding names the table and the repair"""

    def change(connection: Connection) -> None:
        columns = connection.execute(f"select name, type, pk from pragma_table_info('{table}')").fetchall()
        name, kind, _ = data.draw(st.sampled_from(columns))
        keys = [key for key, _, pk in columns if pk]
        rows = connection.execute(f"select {name}, {', '.join(keys)} from {table}").fetchall()
        old, *key = data.draw(st.sampled_from(rows))
        where = " and ".join(f"{each} = ?" for each in keys)
        new = data.draw(values(kind, old))
        connection.execute(f"update {table} set {name} = ? where {where}", (new, *key))

    findings = found(change)
    assert any(f.kind == "derived" and f.detail.startswith(table) for f in findings)
    assert any("threadlog rebuild" in f.detail for f in findings)


@pytest.mark.parametrize("table", DERIVED_TABLES)
@given(st.integers(0, 30))
def test_a_removed_row_of_a_derived_table_is_found(table: str, which: int) -> None:
    """a derived row removed => a finding names the table"""
    first = {"run": "id", "queued": "run", "cancelled": "run"}.get(table, "thread")

    def remove(connection: Connection) -> None:
        keys = connection.execute(f"select {first} from {table}").fetchall()
        connection.execute(f"delete from {table} where {first} = ?", keys[which % len(keys)])

    assert any(f.detail.startswith(f"{table} lacks") for f in found(remove))


ADDED = {
    "run": "insert into run values ('r9', 1, null, null, 1, 'done', null, 0, 0, 1, 1, 1, 1, null, 0)",
    "cancelled": "insert into cancelled values ('r8', 1)",
    "queued": "insert into queued values ('r8', 1, 't1', 'planner', null)",
    "message": "insert into message values (1, 'm99', 1)",
    "thread_metadata": "insert into thread_metadata values (9, null, 'ann', '{}')",
    "snapshot": "insert into snapshot values (1, 1, x'7b7d')",
}


@pytest.mark.parametrize("table", DERIVED_TABLES)
def test_an_added_row_of_a_derived_table_is_found(table: str) -> None:
    findings = found(lambda connection: connection.execute(ADDED[table]))

    assert [(f.kind, f.detail.split(" (")[0]) for f in findings] == [("derived", f"{table} has")]


@pytest.mark.parametrize("table", DERIVED_TABLES)
def test_a_rebuild_repairs_the_derived_tables(table: str) -> None:
    with copied() as path:
        with open_without_triggers(path) as connection:
            connection.execute(f"delete from {table}")
        with Log.open(path) as log:
            assert log.verify() != []

            log.rebuild()
            assert log.verify() == []
