from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from support.log_files import read_tables
from support.logs import (
    append_all,
    by_thread,
    changeset,
    fresh_log,
    numbered_changesets,
    patch_changeset,
    value_changeset,
)
from support.strategies import histories
from threadlog.store import ANY, Changeset, Log, VersionConflict
from threadlog.store.errors import ChangesetExists, ContentError, PatchError


def ids(changesets: Any) -> list[str]:
    return [item.id for item in changesets]


@given(histories())
def test_a_log_returns_what_was_appended(history: list[Changeset]) -> None:
    """read(thread) is what was appended to it, in order, at versions 1, 2, 3, …"""
    with fresh_log() as log:
        append_all(log, history)

        expected = by_thread(history)
        assert {name: list(log.read(name)) for name in expected} == expected
        assert [row.thread_id for row in log.threads()] == [n for n in expected if "/" not in n]


@given(histories(longest=4), histories(longest=4))
def test_an_append_never_changes_what_an_earlier_read_returned(
    history: list[Changeset], more: list[Changeset]
) -> None:
    """read(thread, until=v), state(thread, at=v) and entries up to p are the same before and after"""
    with fresh_log() as log:
        append_all(log, history)
        heads, end = {row.thread_id: row.version for row in log.threads()}, log.position()

        def looked() -> list[Any]:
            seen: list[Any] = [entry for entry in log.entries() if entry.position <= end]
            for thread, version in heads.items():
                seen += [list(log.read(thread, until=version)), log.state(thread, at=version)]
            return seen

        before = looked()
        for number, item in enumerate(more):
            with suppress(PatchError):
                log.append(item.model_copy(update={"id": f"more{number}"}), ANY)

        assert looked() == before


def test_a_returned_state_belongs_to_the_caller(log: Log) -> None:
    given: dict[str, Any] = {"list": [1]}
    log.append(value_changeset("/a", given), 0)
    log.state("t1")["a"]["list"].append(2)
    given["list"].append(3)

    log.append(patch_changeset({"op": "add", "path": "/a/list/-", "value": 4}, id="c2"), 1)

    assert log.state("t1") == {"a": {"list": [1, 4]}}


def test_changing_a_changeset_after_its_append_does_not_change_the_log(log: Log) -> None:
    item = value_changeset("/a", [1])
    log.append(item, 0)

    item.patches[0].operations[0]["value"] = [2]
    log.append(patch_changeset({"op": "test", "path": "/a", "value": [1]}, id="c2"), 1)

    assert log.state("t1") == {"a": [1]}


def test_a_stale_writer_is_refused_and_gets_the_changesets_in_between(log: Log, path: Path) -> None:
    log.append(numbered_changesets(3), 0)
    before = read_tables(path)

    with pytest.raises(VersionConflict) as refused:
        log.append(changeset("late"), 1)

    conflict = refused.value
    assert (conflict.thread_id, conflict.expected, conflict.actual) == ("t1", 1, 3)
    assert [(item.version, item.id) for item in conflict.between] == [(2, "t1 2"), (3, "t1 3")]
    assert read_tables(path) == before


@pytest.mark.parametrize("expected", [-1, 1, 4])
def test_a_version_that_is_not_the_threads_is_refused(log: Log, expected: int) -> None:
    log.append(numbered_changesets(2), 0)

    with pytest.raises(VersionConflict):
        log.append(changeset("late"), expected)

    assert log.head("t1") == 2


def test_with_any_version_an_append_follows_the_last_changeset(log: Log) -> None:
    assert [log.append(item, ANY) for item in numbered_changesets(3)] == [1, 2, 3]


def test_repeating_an_append_is_a_no_op_that_returns_its_version(log: Log, path: Path) -> None:
    first, second, third = numbered_changesets(3)
    log.append([first, second], 0)
    log.append(third, 2)
    before = read_tables(path)

    again = [log.append([first, second], 0), log.append(second, ANY), log.append(third, 7)]

    assert again == [2, 2, 3]
    assert read_tables(path) == before


@pytest.mark.parametrize("thread", ["t1", "t2"])
def test_an_id_with_other_content_is_refused(log: Log, path: Path, thread: str) -> None:
    log.append(changeset("c1"), 0)
    before = read_tables(path)

    with pytest.raises(ChangesetExists, match="'c1' is version 1 of thread 't1'"):
        log.append(changeset("c1", thread, at=1), ANY)

    assert read_tables(path) == before


def test_an_append_that_is_partly_stored_is_refused(log: Log) -> None:
    first, second = numbered_changesets(2)
    log.append(first, 0)

    with pytest.raises(ChangesetExists, match="a part"):
        log.append([first, second], 0)

    assert log.head("t1") == 1


def test_several_changesets_are_appended_together(log: Log) -> None:
    assert log.append(numbered_changesets(3), 0) == 3
    assert ids(log.read("t1")) == ["t1 1", "t1 2", "t1 3"]


def test_several_changesets_are_appended_all_or_none(log: Log, path: Path) -> None:
    log.append(value_changeset("/a", 1), 0)
    before = read_tables(path)
    fits = value_changeset("/b", 1, id="c2")

    with pytest.raises(PatchError):
        log.append([fits, patch_changeset({"op": "remove", "path": "/nowhere"}, id="c3")], 1)

    assert read_tables(path) == before
    assert log.append(fits, 1) == 2


@pytest.mark.parametrize(
    "changesets",
    [
        [],
        [changeset("c1"), changeset("c2", "t2")],
        [changeset("c1"), changeset("c1")],
        changeset("c1", ""),
        [changeset("c1", ""), changeset("c2", "")],
    ],
)
def test_an_append_goes_to_one_named_thread_with_unique_ids(log: Log, changesets: Any) -> None:
    with pytest.raises(ContentError):
        log.append(changesets, ANY)

    assert log.position() == 0


def test_an_append_may_depend_on_the_heads_of_other_threads(log: Log, path: Path) -> None:
    log.append(numbered_changesets(2, "t2"), 0)
    assert log.append(changeset("c1"), 0, heads={"t2": 2, "new": 0}) == 1
    before = read_tables(path)

    with pytest.raises(VersionConflict) as refused:
        log.append(changeset("c2"), 1, heads={"t2": 1})

    assert (refused.value.thread_id, ids(refused.value.between)) == ("t2", ["t2 2"])
    assert read_tables(path) == before


def test_appends_of_another_log_object_are_seen_at_once(log: Log, path: Path) -> None:
    log.append(value_changeset("/n", 1), 0)
    with Log.open(path) as other:
        other.append(value_changeset("/n", 2, id="c2"), 1)
        with pytest.raises(VersionConflict):
            log.append(changeset("c3"), 1)
        log.append(patch_changeset({"op": "test", "path": "/n", "value": 2}, id="c3"), 2)

        assert other.append(changeset("c4"), 3, heads={"t1": 3}) == 4
        assert log.head("t1") == 4


def test_a_head_moved_by_another_log_object_is_seen_at_once(log: Log, path: Path) -> None:
    log.append(numbered_changesets(1, "t2"), 0)
    with Log.open(path) as other:
        other.append(changeset("c2", "t2"), 1)

    with pytest.raises(VersionConflict):
        log.append(changeset("c3"), 0, heads={"t2": 1})


def test_appends_from_many_threads_at_once_are_gapless(log: Log) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: log.append(changeset(str(n)), ANY), range(200)))

    assert sorted(answers) == list(range(1, 201))
    assert {int(item.id): item.version for item in log.read("t1")} == dict(enumerate(answers))
