"""A disk that is really full."""

from pathlib import Path

from support.small_disk import mount, small_disk
from threadlog.store import Changeset, Log, Message
from threadlog.store.errors import LogUnavailable


def note(number: int) -> Changeset:
    message = Message(id=f"m{number}", role="user", content="x" * 4000)
    return Changeset(id=f"c{number}", thread_id="t", reason="edited", at=number, messages=(message,))


def test_a_full_disk_refuses_an_append_and_keeps_all_acknowledged_ones(tmp_path: Path) -> None:
    with small_disk(tmp_path) as is_small, Log.open(tmp_path / "log.db") as log:
        written = fill(log) if is_small else 0

        assert log.head("t") == written
        assert [changeset.id for changeset in log.read("t")] == [f"c{n}" for n in range(written)]
        assert log.verify() == []


def test_the_next_append_succeeds_once_the_disk_has_room(tmp_path: Path) -> None:
    with small_disk(tmp_path) as is_small, Log.open(tmp_path / "log.db") as log:
        written = fill(log) if is_small else 0
        if is_small:
            assert mount(tmp_path, "remount,size=4m")

        assert log.append(note(written), written) == written + 1


def fill(log: Log) -> int:
    """Append until the disk is full: how many were acknowledged."""
    for written in range(1000):
        try:
            log.append(note(written), written)
        except LogUnavailable:
            return written
    raise AssertionError("the disk was never full")
