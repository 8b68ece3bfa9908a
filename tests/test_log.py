import threading
from _thread import interrupt_main
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
from examples import append_all, by_thread, changeset, dump, fresh_log, patched, raw, setting
from hypothesis import given
from strategies import histories

from threadlog.store import ANY, Changeset, Log, VersionConflict
from threadlog.store.database import sqlite3
from threadlog.store.document import depth
from threadlog.store.errors import ChangesetExists, ContentError, PatchError, ThreadlogError
from threadlog.store.writer import request


def numbered(count: int, thread_id: str = "t1") -> list[Changeset]:
    return [changeset(f"{thread_id} {n}", thread_id, at=n) for n in range(1, count + 1)]


def ids(changesets: Any) -> list[str]:
    return [item.id for item in changesets]


# Appending


@given(histories())
def test_a_log_gives_back_what_was_appended(history: list[Changeset]) -> None:
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


def test_the_value_of_a_state_is_the_callers_own(log: Log) -> None:
    given: dict[str, Any] = {"list": [1]}
    log.append(setting("/a", given), 0)
    log.state("t1")["a"]["list"].append(2)
    given["list"].append(3)

    log.append(patched({"op": "add", "path": "/a/list/-", "value": 4}, id="c2"), 1)

    assert log.state("t1") == {"a": {"list": [1, 4]}}


def test_a_changeset_that_is_changed_after_its_append_changes_nothing_in_the_log(log: Log) -> None:
    item = setting("/a", [1])
    log.append(item, 0)

    item.patches[0].operations[0]["value"] = [2]
    log.append(patched({"op": "test", "path": "/a", "value": [1]}, id="c2"), 1)

    assert log.state("t1") == {"a": [1]}


def test_a_stale_writer_is_refused_and_learns_what_came_between(log: Log, path: Path) -> None:
    log.append(numbered(3), 0)
    before = dump(path)

    with pytest.raises(VersionConflict) as refused:
        log.append(changeset("late"), 1)

    conflict = refused.value
    assert (conflict.thread_id, conflict.expected, conflict.actual) == ("t1", 1, 3)
    assert [(item.version, item.id) for item in conflict.between] == [(2, "t1 2"), (3, "t1 3")]
    assert dump(path) == before


@pytest.mark.parametrize("expected", [-1, 1, 4])
def test_a_version_that_is_not_the_threads_is_refused(log: Log, expected: int) -> None:
    log.append(numbered(2), 0)

    with pytest.raises(VersionConflict):
        log.append(changeset("late"), expected)

    assert log.head("t1") == 2


def test_where_order_does_not_matter_an_append_goes_behind_the_last(log: Log) -> None:
    assert [log.append(item, ANY) for item in numbered(3)] == [1, 2, 3]


def test_the_same_append_again_changes_nothing_and_gives_its_version(log: Log, path: Path) -> None:
    first, second, third = numbered(3)
    log.append([first, second], 0)
    log.append(third, 2)
    before = dump(path)

    again = [log.append([first, second], 0), log.append(second, ANY), log.append(third, 7)]

    assert again == [2, 2, 3]
    assert dump(path) == before


@pytest.mark.parametrize("thread", ["t1", "t2"])
def test_an_id_with_other_content_is_refused(log: Log, path: Path, thread: str) -> None:
    log.append(changeset("c1"), 0)
    before = dump(path)

    with pytest.raises(ChangesetExists, match="'c1' is version 1 of thread 't1'"):
        log.append(changeset("c1", thread, at=1), ANY)

    assert dump(path) == before


def test_an_append_of_which_a_part_is_there_is_refused(log: Log) -> None:
    first, second = numbered(2)
    log.append(first, 0)

    with pytest.raises(ChangesetExists, match="a part"):
        log.append([first, second], 0)

    assert log.head("t1") == 1


def test_several_changesets_are_appended_together(log: Log) -> None:
    assert log.append(numbered(3), 0) == 3
    assert ids(log.read("t1")) == ["t1 1", "t1 2", "t1 3"]


def test_of_several_changesets_all_are_appended_or_none(log: Log, path: Path) -> None:
    log.append(setting("/a", 1), 0)
    before = dump(path)
    fits = setting("/b", 1, id="c2")

    with pytest.raises(PatchError):
        log.append([fits, patched({"op": "remove", "path": "/nowhere"}, id="c3")], 1)

    assert dump(path) == before
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
def test_an_append_is_to_one_named_thread_under_ids_of_their_own(log: Log, changesets: Any) -> None:
    with pytest.raises(ContentError):
        log.append(changesets, ANY)

    assert log.position() == 0


def test_an_append_may_depend_on_the_heads_of_other_threads(log: Log, path: Path) -> None:
    log.append(numbered(2, "t2"), 0)
    assert log.append(changeset("c1"), 0, heads={"t2": 2, "new": 0}) == 1
    before = dump(path)

    with pytest.raises(VersionConflict) as refused:
        log.append(changeset("c2"), 1, heads={"t2": 1})

    assert (refused.value.thread_id, ids(refused.value.between)) == ("t2", ["t2 2"])
    assert dump(path) == before


def test_another_log_on_the_same_file_is_seen_at_once(log: Log, path: Path) -> None:
    log.append(setting("/n", 1), 0)
    with Log.open(path) as other:
        other.append(setting("/n", 2, id="c2"), 1)
        with pytest.raises(VersionConflict):
            log.append(changeset("c3"), 1)
        log.append(patched({"op": "test", "path": "/n", "value": 2}, id="c3"), 2)

        assert other.append(changeset("c4"), 3, heads={"t1": 3}) == 4
        assert log.head("t1") == 4


def test_a_head_that_another_log_moved_is_seen_at_once(log: Log, path: Path) -> None:
    log.append(numbered(1, "t2"), 0)
    with Log.open(path) as other:
        other.append(changeset("c2", "t2"), 1)

    with pytest.raises(VersionConflict):
        log.append(changeset("c3"), 0, heads={"t2": 1})


def test_appends_from_many_threads_at_once_are_gapless(log: Log) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: log.append(changeset(str(n)), ANY), range(200)))

    assert sorted(answers) == list(range(1, 201))
    assert {int(item.id): item.version for item in log.read("t1")} == dict(enumerate(answers))


FAILING: list[tuple[Any, Any, type[ThreadlogError]]] = [
    (changeset("c9"), 0, VersionConflict),
    (changeset("c1", at=9), 1, ChangesetExists),
    (patched({"op": "remove", "path": "/nowhere"}, id="c9"), 1, PatchError),
    ([changeset("c9", "t9"), patched({"op": "test", "path": "/a"}, id="c8", thread_id="t9")], 0, PatchError),
    (setting("/a", 2**64, id="c9"), 1, ContentError),
]


@pytest.mark.parametrize(("item", "expected", "error"), FAILING)
def test_a_failed_append_leaves_no_trace(
    log: Log, path: Path, item: Any, expected: Any, error: type[ThreadlogError]
) -> None:
    log.append(setting("/a", 1), 0)
    before = dump(path)

    with pytest.raises(error):
        log.append(item, expected)

    assert dump(path) == before
    assert log.append(changeset("c2"), 1) == 2
    assert log.verify() == []


@contextmanager
def interrupted_after(log: Log, steps: int) -> Iterator[None]:
    """A Ctrl-C that comes once, when SQLite has taken so many steps."""
    connection = log.writable()._connection
    # Nothing but C: what is raised in a function of Python would be lost in SQLite.
    strokes = chain(repeat(0, steps), map(interrupt_main, [SIGINT]))
    connection.set_progress_handler(partial(next, strokes, 0), 1)
    with suppress(KeyboardInterrupt):
        yield
    connection.set_progress_handler(None, 1)


@pytest.mark.parametrize("steps", [*range(8), *range(8, 230, 11)])
def test_an_interrupted_append_is_there_whole_or_not_at_all_and_the_log_goes_on(log: Log, steps: int) -> None:
    log.append(changeset("c1"), 0)
    notified = threading.Event()
    waiting = request(changeset("c2", "t2"), 0)
    waiting.notify = notified.set
    log.writable().submit(waiting)

    with interrupted_after(log, steps):
        log.append([changeset("c3", "t3"), changeset("c4", "t3")], 0)

    assert log.head("t3") in (0, 2)
    assert notified.is_set()
    assert log.append(changeset("c5"), 1) == 2
    assert log.verify() == []


# The bounds of the state


def test_a_state_that_would_be_too_large_is_refused(
    log: Log, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 1000)
    for n in range(8):
        log.append(setting(f"/{n}", "x" * 100, id=f"c{n}"), n)
    before = dump(path)

    with pytest.raises(ContentError, match="more than the limit of 1000"):
        log.append(setting("/8", "x" * 200, id="c8"), 8)

    assert dump(path) == before
    assert log.append(patched({"op": "remove", "path": "/0"}, id="c8"), 8) == 9
    assert log.append(setting("/8", "x" * 200, id="c9"), 9) == 10


def test_a_state_may_be_rewritten_for_ever_within_its_bounds(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 1000)

    for n in range(20):
        log.append(setting("/a", "x" * 900, id=f"c{n}"), n)

    assert log.head("t1") == 20


def test_a_state_that_would_be_too_deep_is_refused(log: Log, path: Path) -> None:
    document: Any = {}
    for _ in range(100):
        document = {"a": document}
    log.append(setting("/a", document), 0)
    before = dump(path)

    with pytest.raises(ContentError, match="nested deeper than 128"):
        log.append(setting("/a" * 100, document, id="c2"), 1)

    assert dump(path) == before


def test_copies_that_would_make_the_state_too_deep_are_refused(log: Log) -> None:
    deeper = [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "move", "from": "/b", "path": "/a/a"}]
    log.append(setting("/a", {}), 0)
    log.append([patched(*deeper, id=f"d{n}") for n in range(126)], 1)
    assert depth(log.state("t1")) == 128

    with pytest.raises(ContentError, match="nested deeper than 128"):
        log.append(patched(*deeper, id="c2"), 127)

    assert log.head("t1") == 127


def test_copies_that_would_make_the_state_too_large_are_refused(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 1000)
    log.append(setting("/0", "x" * 400), 0)
    log.append(patched({"op": "copy", "from": "/0", "path": "/1"}, id="c2"), 1)

    with pytest.raises(ContentError, match="more than the limit of 1000"):
        log.append(patched({"op": "copy", "from": "/0", "path": "/2"}, id="c3"), 2)

    assert log.head("t1") == 2


# The database itself refuses


INSERT = (
    "insert into changeset select {}, format, content, digest, file_digest from changeset where id = 'c1'"
)
PUT = INSERT.replace("insert", "insert or replace")
TAMPERING = [
    "update changeset set content = x'00'",
    "update changeset set position = position + 10",
    "update thread set name = 'other'",
    "update or replace thread set name = 't2' where name = 't1'",
    "delete from changeset",
    "delete from changeset where position = (select max(position) from changeset)",
    "delete from thread",
    INSERT.format("9, thread, 3, 'c9'"),
    INSERT.format("4, thread, 9, 'c9'"),
    INSERT.format("0, thread, 3, 'c9'"),
    INSERT.format("4, 2, 3, 'c9'"),
    PUT.format("position, thread, version, id"),
    PUT.format("4, thread, 1, 'c9'"),
    PUT.format("1, thread, 3, 'c9'"),
    PUT.format("4, thread, 3, id"),
    "insert or replace into thread values (1, 't9')",
    "insert or replace into thread values (3, 't1')",
    "insert into thread values (9, 't9')",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_no_row_is_changed_deleted_or_put_in_between(log: Log, path: Path, statement: str) -> None:
    append_all(log, [changeset("c1"), changeset("c2", "t2"), changeset("c3")])
    before = dump(path)

    with raw(path) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute(statement)

    assert dump(path) == before


def test_an_append_to_no_thread_is_refused_by_the_database(log: Log, path: Path) -> None:
    with raw(path) as connection:
        connection.execute("pragma foreign_keys = on")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("insert into changeset values (1, 9, 1, 'c1', 1, x'', x'', x'')")
