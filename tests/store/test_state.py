from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.log_files import DERIVED_TABLES, open_sqlite, read_tables
from support.logs import append_all, by_thread, changeset, fresh_log, patch_changeset, value_changeset
from support.strategies import histories
from threadlog.store import Changeset, Log, Message
from threadlog.store.changeset import RunStatus, Usage
from threadlog.store.codec import encoded
from threadlog.store.document import depth, dumps, same
from threadlog.store.errors import ContentError
from threadlog.store.patch import apply
from threadlog.store.state import State


def fold(history: list[Changeset]) -> list[Any]:
    """The state at each version, 0 included, by the plainest means."""
    states: list[Any] = [{}]
    for item in history:
        document = states[-1]
        for patch in item.patches:
            document = apply(document, patch.operations)
        states.append(document)
    return states


def states(log: Log, thread: str) -> list[Any]:
    return [log.state(thread, at=version) for version in range(log.head(thread) + 1)]


def without_snapshots(log: Log) -> Log:
    with open_sqlite(log.path) as connection:
        connection.execute("delete from snapshot")
    return log


def derived(path: Path) -> dict[str, list[Any]]:
    return {table: rows for table, rows in read_tables(path).items() if table in DERIVED_TABLES}


def long_history(length: int) -> list[Changeset]:
    """Three threads; the first has most of the changesets, so that it crosses the places of snapshots."""
    history = []
    for n in range(length):
        thread = "t1" if n % 10 else f"t{n // 10 % 2 + 2}"
        fields = {
            "run_id": f"r{n % 7}",
            "run": RunStatus(status="running", usage=Usage(input_tokens=n)),
            "messages": (Message(id=f"m{n % 50}", role="user"),),
        }
        history.append(
            value_changeset(f"/{n % 5}", n, id=f"c{n}", thread_id=thread).model_copy(update=fields)
        )
    return history


often = pytest.mark.usefixtures("snapshots_often")


@often
@given(histories(longest=12))
def test_a_state_is_the_fold_of_its_patches_with_snapshots_and_without(history: list[Changeset]) -> None:
    """state(thread, at=v) == fold of the first v patches, for every v, whatever snapshots there are"""
    with fresh_log() as log:
        append_all(log, history)
        for thread, items in by_thread(history).items():
            assert same(states(log, thread), fold(items))
            assert same(states(without_snapshots(log), thread), fold(items))


@often
@given(histories(longest=12), st.data())
def test_a_history_can_be_folded_in_two_parts(history: list[Changeset], data: st.DataObject) -> None:
    """fold(h) == fold(h[n:]) on the state at n: what makes a snapshot safe"""
    with fresh_log() as log:
        append_all(log, history)
        for row in log.threads():
            n = data.draw(st.integers(0, row.version))
            document = log.state(row.thread_id, at=n)
            for item in log.read(row.thread_id, after=n):
                for patch in item.patches:
                    document = apply(document, patch.operations)

            assert same(document, log.state(row.thread_id))


@often
@given(histories(longest=12))
def test_every_derived_table_equals_its_rebuild_after_every_append(history: list[Changeset]) -> None:
    """derived(h[:n]) kept up to date == derived(h[:n]) made from nothing, for every n"""
    with fresh_log() as log, Log.open(log.path, durability="normal") as rebuilder:
        for item in history:
            log.append(item, log.head(item.thread_id))
            kept = derived(log.path)
            rebuilder.rebuild()

            assert derived(log.path) == kept


@given(histories(longest=12))
def test_the_bounds_of_a_state_hold(history: list[Changeset]) -> None:
    """A state has no more bytes, and is no deeper, than its bounds say."""
    for items in by_thread(history).values():
        state = State()
        for item in items:
            coded = encoded(item)
            state = state.after(coded.patches, len(coded.content))

            assert state.size >= len(dumps(state.document))
            assert state.depth >= depth(state.document)


def test_a_long_history_folds_alike_with_and_without_snapshots(log: Log) -> None:
    history = long_history(260)
    append_all(log, history)
    expected = fold(by_thread(history)["t1"])

    assert read_tables(log.path)["snapshot"] == [(2, at, dumps(expected[at])) for at in (100, 200)]
    assert same(states(log, "t1"), expected)
    assert same(states(without_snapshots(log), "t1"), expected)


def test_a_long_history_is_rebuilt_byte_for_byte_around_its_snapshots(log: Log, path: Path) -> None:
    for item in long_history(260):
        log.append(item, log.head(item.thread_id))
        if log.head("t1") % 100 in (99, 0, 1):
            kept = derived(path)
            log.rebuild()
            assert derived(path) == kept

    assert log.head("t1") > 200
    assert log.verify() == []


def test_snapshots_stand_at_fixed_places_however_a_history_was_appended(log: Log, path: Path) -> None:
    history = [value_changeset("/n", n, id=f"c{n}") for n in range(250)]
    log.append(history[:99], 0)
    log.append(history[99:], 99)

    assert [row[:2] for row in read_tables(path)["snapshot"]] == [(1, 100), (1, 200)]


def test_a_read_writes_nothing(log: Log, path: Path) -> None:
    append_all(log, long_history(120))
    without_snapshots(log)
    before = read_tables(path)

    assert [states(log, row.thread_id) for row in log.threads()]
    assert (log.runs(), log.verify()) != ([], [])

    assert read_tables(path) == before


def test_a_message_with_a_known_id_is_counted_once(log: Log, path: Path) -> None:
    first, again = (changeset(id, messages=(Message(id="m1", role="user"),)) for id in ("c1", "c2"))

    append_all(log, [first, again])

    assert derived(path)["message"] == [(1, "m1", 1)]


@given(histories(), st.data())
def test_a_rebuild_restores_the_derived_tables(history: list[Changeset], data: st.DataObject) -> None:
    """rebuild changes nothing, whatever was done to the derived tables before"""
    with fresh_log() as log:
        append_all(log, history)
        before = read_tables(log.path)
        with open_sqlite(log.path) as connection:
            table = data.draw(st.sampled_from(["run", "message", "thread_metadata", "snapshot"]))
            connection.execute(data.draw(st.sampled_from([f"delete from {table}", f"drop table {table}"])))

        log.rebuild()

        assert read_tables(log.path) == before


def test_copies_that_double_the_state_are_refused_where_they_pass_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 10_000)
    copies = [{"op": "copy", "from": "", "path": f"/{n}"} for n in range(1, 60)]

    with fresh_log() as log, pytest.raises(ContentError, match="more than the limit"):
        log.append(patch_changeset({"op": "add", "path": "/0", "value": "x" * 100}, *copies), 0)
