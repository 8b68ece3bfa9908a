"""Copies of a log: complete at one moment, durable, and never over another file."""

import threading
from pathlib import Path

import pytest

from support.command import call
from support.logs import changeset
from threadlog.errors import LogNotFound, LogUnavailable
from threadlog.store import ANY, Log, copy_log


def test_a_copy_has_the_heads_of_the_log_and_continues_on_its_own(log: Log, tmp_path: Path) -> None:
    for number in range(120):
        log.append(changeset(f"c{number}", f"t{number % 3}"), ANY)

    heads = copy_log(log.path, tmp_path / "copy.db")

    assert heads == log.heads()
    with Log.open(tmp_path / "copy.db") as copy:
        assert copy.verify(heads) == []
        assert copy.append(changeset("later", "t0"), ANY) == 41
    assert log.head("t0") == 40


def test_a_copy_is_the_log_at_one_moment_while_others_append(log: Log, tmp_path: Path) -> None:
    stop = threading.Event()

    def append() -> None:
        number = 0
        while not stop.is_set():
            log.append(changeset(f"c{number}"), ANY)
            number += 1

    writer = threading.Thread(target=append)
    writer.start()
    try:
        copies = [copy_log(log.path, tmp_path / f"copy-{number}.db") for number in range(5)]
    finally:
        stop.set()
        writer.join()

    for number, heads in enumerate(copies):
        with Log.open(tmp_path / f"copy-{number}.db", readonly=True) as copy:
            assert (copy.verify(heads), copy.heads()) == ([], heads)
        assert log.verify(heads) == []


def test_an_existing_file_is_never_replaced(log: Log, tmp_path: Path) -> None:
    log.append(changeset(), 0)
    other = tmp_path / "other.txt"
    other.write_text("mine")

    for destination in (other, log.path, tmp_path):
        with pytest.raises(LogUnavailable, match=r"exists|cannot be written"):
            copy_log(log.path, destination)

    assert other.read_text() == "mine"
    assert log.verify() == []


def test_a_failed_copy_leaves_nothing(log: Log, tmp_path: Path) -> None:
    with pytest.raises(LogNotFound):
        copy_log(tmp_path / "missing.db", tmp_path / "copy.db")
    with pytest.raises(LogUnavailable, match="cannot be written"):
        copy_log(log.path, tmp_path / "no folder" / "copy.db")

    assert {path.name for path in tmp_path.iterdir()} <= {"log.db", "log.db-wal", "log.db-shm"}


def test_the_command_copies_a_log_that_is_open(log: Log, tmp_path: Path) -> None:
    log.append(changeset(), 0)
    copied = call(f"copy {log.path} {tmp_path / 'copy.db'}")

    assert (copied.code, copied.out.startswith("✓ copied  1 changeset; head ")) == (0, True)
    assert call(f"copy --json {log.path} {tmp_path / 'second.db'}").json() == log.heads().model_dump()
    assert call(f"copy {log.path} {tmp_path / 'copy.db'}").code == 4
    assert call(f"verify --db {tmp_path / 'copy.db'}").code == 0
