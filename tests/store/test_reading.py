import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from support.log_files import open_without_triggers
from support.logs import changeset, value_changeset
from support.programs import command, environment
from threadlog.store import ANY, Changeset, Log, Message, ThreadMetadata
from threadlog.store.changeset import AgentSnapshot, Executor, RunStatus, Termination, Usage
from threadlog.store.errors import CorruptLog, LogUnavailable, NotFound
from threadlog.store.history import Entry


def numbered(count: int, thread_id: str = "t1") -> list[Changeset]:
    return [changeset(f"{thread_id} {n}", thread_id, at=n) for n in range(1, count + 1)]


def ids(changesets: Any) -> list[str]:
    return [item.id for item in changesets]


def test_a_range_of_versions_is_read(log: Log) -> None:
    log.append(numbered(5), 0)

    def versions(**bounds: int) -> list[int]:
        return [item.version for item in log.read("t1", **bounds)]

    assert versions() == [1, 2, 3, 4, 5]
    assert versions(after=2) == [3, 4, 5]
    assert versions(until=2) == [1, 2]
    assert versions(after=1, until=3) == [2, 3]
    assert versions(after=3, until=99) == [4, 5]
    assert versions(after=5) == versions(until=0) == versions(after=3, until=2) == []


def test_an_unknown_thread_has_no_history_and_no_state(log: Log) -> None:
    assert list(log.read("missing")) == []
    assert log.head("missing") == 0
    with pytest.raises(NotFound, match="missing"):
        log.state("missing")


def test_a_history_longer_than_a_chunk_is_read_whole(log: Log) -> None:
    log.append(numbered(1203), 0)

    assert [item.version for item in log.read("t1")] == list(range(1, 1204))
    assert [entry.position for entry in log.entries()] == list(range(1, 1204))


def test_a_read_ends_at_the_head_it_started_with(log: Log) -> None:
    log.append(numbered(2), 0)
    reading, entries = log.read("t1"), log.entries()
    assert next(entries).position == 1

    log.append(changeset("late"), 2)

    assert ids(reading) == ["t1 1", "t1 2"]
    assert [entry.position for entry in entries] == [2]


def test_entries_are_all_changesets_in_the_order_of_appending(log: Log) -> None:
    for number, thread in enumerate(["t1", "t2", "t1"], 1):
        log.append(changeset(f"c{number}", thread), ANY)

    found = [(at, item.thread_id, item.version) for at, item in log.entries()]

    assert found == [(1, "t1", 1), (2, "t2", 1), (3, "t1", 2)]
    assert [entry.position for entry in log.entries(after=2)] == [3]
    assert log.position() == 3


def test_a_run_is_read_without_the_rest_of_its_thread(log: Log) -> None:
    running, done = RunStatus(status="running"), RunStatus(status="done")
    log.append(changeset("c1"), 0)
    log.append(changeset("c2", run_id="r1", run=running), 1)
    log.append(changeset("c3", run_id="r2", run=running), 2)
    log.append(changeset("c4", run_id="r1"), 3)
    log.append(changeset("c5", run_id="r1", run=done), 4)

    assert ids(log.read_run("r1")) == ["c2", "c4", "c5"]
    assert ids(log.read_run("r2")) == ["c3"]
    with pytest.raises(NotFound, match="r3"):
        log.read_run("r3")


def test_a_run_in_two_threads_is_read_and_listed_for_each(log: Log) -> None:
    log.append(changeset("c1"), 0)
    log.append(changeset("c2", "t2", run_id="r1", run=RunStatus(status="running")), 0)
    log.append(changeset("c3", "t1", run_id="r1", run=RunStatus(status="waiting")), 1)
    log.append(changeset("c4", "t2", run_id="r1", run=RunStatus(status="done")), 1)

    assert ids(log.read_run("r1")) == ["c3", "c2", "c4"]
    assert {(row.thread_id, row.status) for row in log.runs()} == {("t1", "waiting"), ("t2", "done")}
    assert log.verify() == []


def test_a_state_can_be_read_at_every_version(log: Log) -> None:
    log.append([value_changeset("/n", n, id=f"c{n}") for n in range(3)], 0)

    assert [log.state("t1", at=version) for version in range(4)] == [{}, {"n": 0}, {"n": 1}, {"n": 2}]
    assert log.state("t1") == {"n": 2}
    for version in (-1, 4):
        with pytest.raises(NotFound, match="versions 0 to 3"):
            log.state("t1", at=version)


def test_a_thread_is_listed_with_its_head_and_its_merged_metadata(log: Log) -> None:
    first = ThreadMetadata(parent="t0", owner="ann", labels={"trip": "kyoto"})
    hello, again = (Message(id="m1", role="user", content=text) for text in ("hello", "again"))
    log.append(changeset("c1", "t1", at=5, thread=first, messages=(hello,)), 0)
    log.append(changeset("c2", "t2", at=6, messages=(hello, Message(id="m2", role="assistant"))), 0)
    log.append(
        changeset(
            "c3", "t1", at=7, thread=ThreadMetadata(labels={"a": "b", "trip": None}), messages=(again,)
        ),
        1,
    )

    assert log.threads() == [
        ("t1", 2, 1, 7, "t0", "ann", {"a": "b"}),
        ("t2", 1, 2, 6, None, None, {}),
    ]


def test_a_run_is_listed_with_its_last_status(log: Log) -> None:
    agent = AgentSnapshot(name="planner", fingerprint="f", specification={})
    ended = RunStatus(
        status="done",
        termination=Termination(type="stopped", code="max_rounds"),
        usage=Usage(input_tokens=7, output_tokens=3),
    )
    executor = Executor(id="e1", host="here", pid=7)
    start = changeset("c1", at=5, run_id="r1", parent_run_id="r0", epoch=1, agent=agent, executor=executor)
    log.append(start.model_copy(update={"run": RunStatus(status="running")}), 0)
    log.append(changeset("c2", at=6, run_id="r1", epoch=1, control=4), 1)
    log.append(changeset("c3", at=9, run_id="r1", epoch=2, run=ended), 2)
    log.append(changeset("c4", "t2", at=4, run_id="r2", run=RunStatus(status="waiting")), 0)

    first = ("r1", "t1", "r0", "planner", 2, "done", ended.termination, 7, 3, 5, 9, 1, 3, executor, 4)
    second = ("r2", "t2", None, None, 0, "waiting", None, 0, 0, 4, 4, 1, 1, None, 0)
    assert log.runs() == [first, second]
    assert log.runs("t1") == [first]
    assert log.runs("missing") == []
    assert log.open_runs() == [second]
    assert (log.run("r1"), log.run("missing")) == (first, None)
    assert log.children("r0") == [first]


def test_names_may_be_any_text(log: Log) -> None:
    names = ["", "a b", "a\x00b", "'; drop table changeset; --", "поток", "\U0001f9f5", "x" * 5000]
    for number, name in enumerate(names[1:]):
        log.append(changeset(f"{number} {name}", name), 0)
    log.append(changeset("", "t1"), 0)

    assert [row.thread_id for row in log.threads()] == [*names[1:], "t1"]
    assert log.verify() == []


# Following


def test_a_follower_gets_existing_and_future_changesets(log: Log) -> None:
    log.append(numbered(3), 0)
    following = log.follow(after=1)

    assert [next(following).position for _ in range(2)] == [2, 3]
    log.append(changeset("c4"), 3)
    assert next(following).changeset.id == "c4"


def test_a_follower_ends_after_its_timeout(log: Log) -> None:
    log.append(numbered(3), 0)

    assert [entry.position for entry in log.follow(timeout=0.1)] == [1, 2, 3]


def test_a_follower_waits_for_appends_of_other_threads_without_gap_or_repeat(log: Log) -> None:
    def append() -> None:
        for n in range(100):
            log.append(changeset(f"c{n}"), n)

    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(append)
        seen = [entry.position for entry in islice(log.follow(), 100)]
        appending.result()

    assert seen == list(range(1, 101))


def test_a_follower_is_woken_by_an_append_of_this_process(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadlog.store.following.POLL_SECONDS", 60)
    following = log.follow()
    with ThreadPoolExecutor(1) as pool:
        for n in range(50):
            woken = pool.submit(next, following)
            log.append(changeset(f"c{n}"), n)
            assert woken.result(10).position == n + 1


def test_a_follower_sees_what_another_process_appends(log: Log, path: Path) -> None:
    begin = command("appender.py", "append", path, "t1", 3)
    following = log.follow()
    with subprocess.Popen(begin, stdin=subprocess.DEVNULL, env=environment()):
        assert [next(following).position for _ in range(3)] == [1, 2, 3]


def test_each_change_is_seen_once_whichever_process_made_it(log: Log, path: Path) -> None:
    with Log.open(path, readonly=True) as reader:
        changes = reader.changes(timeout=0.1)
        next(changes)
        log.append(changeset("c1"), 0)
        log.append(changeset("c2"), 1)

        assert [None for _ in changes] == [None]


def test_changes_end_after_their_timeout(log: Log) -> None:
    assert [None for _ in log.changes(timeout=0.1)] == [None]
    assert [None for _ in log.changes(timeout=float("nan"))] == [None]


def test_a_follower_ends_when_the_log_is_closed(path: Path) -> None:
    log = Log.open(path)
    log.append(numbered(2), 0)
    arrived = threading.Event()

    def follow() -> list[Entry]:
        seen = []
        for entry in log.follow():
            seen.append(entry)
            arrived.set()
        return seen

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        arrived.wait()
        log.close()
        assert [entry.position for entry in following.result(10)] == [1, 2]


# Damaged


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"patches":[{"operations":[{"op":"remove"}]}]}'])
def test_reading_damaged_content_raises_corrupt_log(log: Log, path: Path, content: bytes) -> None:
    log.append([value_changeset("/a", 1), changeset("c2")], 0)
    with open_without_triggers(path) as connection:
        connection.execute("update changeset set content = ? where version = 2", (content,))

    reads = (lambda: [*log.read("t1")], lambda: [*log.entries()], lambda: log.append(changeset("c3"), 1))
    for read in reads:
        with pytest.raises(CorruptLog):
            read()
    assert log.state("t1", at=1) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"patches":7}', b'{"patches":[{"operations":[{}]}]}'])
def test_a_state_that_cannot_be_folded_is_a_corrupt_log(path: Path, content: bytes) -> None:
    with Log.open(path) as log:
        log.append([value_changeset("/a", 1), changeset("c2")], 0)
    with open_without_triggers(path) as connection:
        connection.execute("update changeset set content = ? where version = 2", (content,))

    with Log.open(path) as log:
        for use in (lambda: log.state("t1"), lambda: log.append(changeset("c3"), 2)):
            with pytest.raises(CorruptLog, match="verify"):
                use()


# Closed, and read only


def test_a_closed_log_refuses_and_says_what_to_do(path: Path) -> None:
    log = Log.open(path)
    log.append(numbered(3), 0)
    reading = log.read("t1")
    next(reading)
    log.close()
    log.close()

    uses = (log.threads, lambda: log.state("t1"), lambda: log.append(changeset("c9"), 3), lambda: [*reading])
    for use in uses:
        with pytest.raises(LogUnavailable, match="open it again"):
            use()
    assert repr(log) == f"<Log {str(path)!r} closed>"


def test_a_log_may_be_closed_under_its_readers(path: Path) -> None:
    """Closing a connection under a statement crashes the process: close waits for reads."""
    for _ in range(20):
        log = Log.open(path)
        log.append([changeset(f"c{n}") for n in range(20)], ANY)
        begun = threading.Barrier(4)

        def read(log: Log = log, begun: threading.Barrier = begun) -> None:
            begun.wait()
            while True:
                assert len(list(log.read("t1"))) == 20
                log.threads()

        with ThreadPoolExecutor(3) as pool:
            reading = [pool.submit(read) for _ in range(3)]
            begun.wait()
            log.close()
            for each in reading:
                assert isinstance(each.exception(), LogUnavailable)


def test_a_log_opened_read_only_refuses_writes(log: Log, path: Path) -> None:
    log.append(numbered(2), 0)
    with Log.open(path, readonly=True) as reader:
        for write in (lambda: reader.append(changeset("c9"), 2), reader.rebuild):
            with pytest.raises(LogUnavailable, match="read-only"):
                write()

        log.append(changeset("c3"), 2)
        assert reader.head("t1") == 3
        assert repr(reader) == f"<Log {str(path)!r} read only>"
