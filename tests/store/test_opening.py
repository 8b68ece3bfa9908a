import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.log_files import open_sqlite, open_without_triggers
from support.logs import changeset
from support.programs import command, environment, together
from threadlog.store import Log
from threadlog.store.codec import FORMAT
from threadlog.store.database import Connection, sqlite3
from threadlog.store.errors import LogNotFound, LogUnavailable, NewerFormat, NotALog, OlderFormat

TEXTS = [b"hello", b"hello\n" * 1000, b"\x89PNG\r\n\x1a\n" + bytes(600), b"SQLite format 3\x00", bytes(5000)]

both = pytest.mark.parametrize("readonly", [True, False])


@both
@pytest.mark.parametrize("content", TEXTS)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    path: Path, content: bytes, readonly: bool
) -> None:
    path.write_bytes(content)

    with pytest.raises(NotALog, match=r"log\.db"):
        Log.open(path, readonly=readonly)

    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


@both
@pytest.mark.parametrize(
    "statements",
    [
        ["create table note (text)", "insert into note values ('mine')"],
        ["pragma journal_mode = wal", "create table note (text)"],
        ["pragma application_id = 7", "create table note (text)"],
        ["pragma application_id = 7"],
        ["create table changeset (position)", "create table thread (key)"],
    ],
)
def test_another_database_is_refused_and_left_alone(
    path: Path, statements: list[str], readonly: bool
) -> None:
    with open_sqlite(path) as connection:
        for statement in statements:
            connection.execute(statement)
    content = path.read_bytes()

    with pytest.raises(NotALog, match="not a threadlog log"):
        Log.open(path, readonly=readonly)

    assert path.read_bytes() == content


def test_an_empty_file_can_be_written_as_a_log_but_not_read(path: Path) -> None:
    path.touch()
    with pytest.raises(NotALog, match="empty"):
        Log.open(path, readonly=True)
    assert path.stat().st_size == 0

    with Log.open(path) as log:
        assert log.append(changeset(), 0) == 1


@both
def test_a_log_of_a_later_format_is_refused_with_advice(path: Path, readonly: bool) -> None:
    Log.open(path).close()
    with open_sqlite(path) as connection:
        connection.execute(f"pragma user_version = {FORMAT + 1}")
    content = path.read_bytes()

    with pytest.raises(NewerFormat, match="upgrade"):
        Log.open(path, readonly=readonly)

    assert path.read_bytes() == content


@both
def test_a_log_of_a_format_before_the_first_release_is_refused(path: Path, readonly: bool) -> None:
    Log.open(path).close()
    with open_sqlite(path) as connection:
        connection.execute(f"pragma user_version = {FORMAT - 1}")
    content = path.read_bytes()

    with pytest.raises(OlderFormat, match=f"format {FORMAT - 1}.*reads format {FORMAT}"):
        Log.open(path, readonly=readonly)

    assert path.read_bytes() == content


def test_a_row_of_a_later_format_is_refused_with_advice_and_found(log: Log, path: Path) -> None:
    log.append([changeset("c1"), changeset("c2")], 0)
    with open_without_triggers(path) as connection:
        connection.execute(f"update changeset set format = {FORMAT + 1} where version = 2")

    assert [item.id for item in log.read("t1", until=1)] == ["c1"]
    with pytest.raises(NewerFormat, match="upgrade"):
        list(log.read("t1"))
    assert "content" in [finding.kind for finding in log.verify()]


def test_opening_a_missing_file_read_only_fails_and_creates_nothing(path: Path) -> None:
    with pytest.raises(LogNotFound, match=r"log\.db"):
        Log.open(path, readonly=True)

    assert not path.exists()


def test_a_missing_folder_is_not_created(path: Path) -> None:
    with pytest.raises(LogUnavailable, match="folder"):
        Log.open(path / "log.db")
    with pytest.raises(LogNotFound):
        Log.open(path / "log.db", readonly=True)

    assert not path.exists()


def test_a_folder_is_no_log(path: Path) -> None:
    path.mkdir()

    with pytest.raises(LogUnavailable):
        Log.open(path)
    with pytest.raises(LogNotFound):
        Log.open(path, readonly=True)


@pytest.mark.parametrize("name", ["a b.db", "a?b#c&d=e.db", "100%41.db", "ключ.db", ":memory:", "'.db"])
def test_a_path_may_have_any_name(tmp_path: Path, name: str) -> None:
    with Log.open(str(tmp_path / name)) as log:
        log.append(changeset(), 0)
    assert os.listdir(tmp_path) == [name]

    with Log.open(tmp_path / name, readonly=True) as log:
        assert (log.head("t1"), log.notice) == (1, None)


def test_an_append_is_refused_while_another_process_holds_the_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.database.BUSY_SECONDS", 0.1)
    with Log.open(path) as log, open_sqlite(path) as other:
        other.execute("begin immediate")
        with pytest.raises(LogUnavailable, match="try again"):
            log.append(changeset(), 0)
        other.execute("rollback")

        assert log.append(changeset(), 0) == 1


def test_long_waiting_writers_poll_as_often_as_new_ones(path: Path) -> None:
    """Otherwise some of many continuous writers starve."""
    looks, enough = count(1), threading.Event()

    def looked(statement: str) -> None:
        if statement == "begin immediate" and next(looks) == 100:
            enough.set()

    with Log.open(path) as log, open_sqlite(path) as other, ThreadPoolExecutor(1) as pool:
        log.writable()._connection.set_trace_callback(looked)
        other.execute("begin immediate")
        appending = pool.submit(log.append, changeset(), 0)
        has_looked_often = enough.wait(10)
        other.execute("rollback")

        assert (appending.result(), has_looked_often) == (1, True)


def test_a_log_is_created_as_soon_as_another_process_releases_the_file(path: Path) -> None:
    with open_sqlite(path) as other, ThreadPoolExecutor(1) as pool:
        other.execute("begin immediate")
        opening = pool.submit(Log.open, path)
        with pytest.raises(TimeoutError):
            opening.result(0.1)
        other.execute("rollback")

        with opening.result(10) as log:
            assert log.append(changeset(), 0) == 1


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_the_requested_durability_is_used(path: Path, durability: Any) -> None:
    with Log.open(path, durability=durability) as log:
        connection: Connection = log.writable()._connection

        assert connection.execute("pragma synchronous").fetchone() == ({"normal": 1, "full": 2}[durability],)
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


def test_an_sqlite_that_may_lose_commits_is_warned_about_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.database.WAL_RESET_FIXED", (99,))
    monkeypatch.setattr("threadlog.store.database._warned", threading.Event())

    with pytest.warns(RuntimeWarning, match="install pysqlite3") as warned:
        logs = [Log.open(path) for _ in range(2)]
    for log in logs:
        log.close()

    assert [warning.filename for warning in warned] == [__file__]
    assert sqlite3.sqlite_version in str(warned[0].message)


@pytest.mark.parametrize("limit", [200_000, 6_000_000])
def test_on_a_full_disk_an_append_is_refused_and_earlier_ones_stay(path: Path, limit: int) -> None:
    """The write-ahead log reaches the limit first, or the file when it is checkpointed."""
    [said] = together(("fill", path, "t1", limit))

    *before, full, after = said
    assert full == "full"
    with Log.open(path, readonly=True) as log:
        assert [item.id for item in log.read("t1")] == [*before, after]
        assert log.verify() == []


# Where nothing may be written


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a stranger may look into, as those of `tmp_path` are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


def stranger(forbidden: Path, path: Path, wish: str) -> str:
    begin = command("unprivileged_access.py", forbidden, path, wish)
    done = subprocess.run(begin, capture_output=True, text=True, check=False, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def log_in(folder: Path, count: int = 3) -> Path:
    path = folder / "log.db"
    with Log.open(path) as log:
        log.append([changeset(f"c{n}") for n in range(count)], 0)
    return path


def test_a_log_in_a_read_only_folder_can_be_read(folder: Path) -> None:
    path = log_in(folder)
    folder.chmod(0o555)

    assert json.loads(stranger(folder, path, "read")) == [None, ["c0", "c1", "c2"]]
    assert os.listdir(folder) == ["log.db"]


def test_a_write_ahead_log_beside_a_copied_file_is_read_from_a_copy(
    folder: Path, log: Log, path: Path
) -> None:
    log.append([changeset(f"c{n}") for n in range(3)], 0)
    # By a process of its own: to open and close the file here would drop the locks of the log.
    subprocess.run(["cp", path, f"{path}-wal", folder], check=True)
    assert (folder / "log.db-wal").stat().st_size > 0
    folder.chmod(0o555)

    notice, ids = json.loads(stranger(folder, folder / "log.db", "read"))

    assert ids == ["c0", "c1", "c2"]
    assert "this is a copy" in notice
    assert sorted(os.listdir(folder)) == ["log.db", "log.db-wal"]


def test_a_log_in_a_read_only_folder_refuses_writes(folder: Path) -> None:
    path = log_in(folder)
    path.chmod(0o666)
    folder.chmod(0o555)

    assert stranger(folder, path, "append").startswith("LogUnavailable")
    assert stranger(folder, folder / "new.db", "append").startswith("LogUnavailable")


def test_a_read_only_log_can_be_read_and_refuses_writes(folder: Path) -> None:
    path = log_in(folder)
    path.chmod(0o444)
    folder.chmod(0o777)

    assert "readonly=True" in stranger(path, path, "append")
    assert json.loads(stranger(path, path, "read"))[1] == ["c0", "c1", "c2"]


def test_an_unprivileged_reader_sees_all_that_a_live_writer_acknowledged(folder: Path) -> None:
    path = folder / "log.db"
    with Log.open(path) as log:
        for n in range(3):
            log.append(changeset(f"c{n}"), n)
            assert json.loads(stranger(folder, path, "read"))[1] == [f"c{k}" for k in range(n + 1)]


def test_a_log_can_be_read_and_written_beside_an_unprivileged_reader(log: Log, path: Path) -> None:
    log.append(changeset("c0"), 0)
    with Log.open(path, readonly=True) as reader:
        reading = reader.entries()
        assert next(reading).position == 1
        log.append(changeset("c1"), 1)

        assert [reader.head("t1"), log.head("t1")] == [2, 2]
