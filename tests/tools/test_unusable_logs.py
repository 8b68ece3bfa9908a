"""Every command on a file that is missing, not a log, or damaged."""

import random
import sqlite3
from pathlib import Path

import pytest

from support.command import ALL, READING, assert_refused, bytes_of, call
from support.log_files import open_sqlite


@pytest.mark.parametrize("command", ALL)
def test_a_missing_file_is_not_created(tmp_path: Path, command: str) -> None:
    assert_refused(call(command, "--db", tmp_path / "nope.db"), 3)
    assert_refused(call(command, "--db", tmp_path), 3)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ALL)
def test_a_file_name_that_is_too_long_is_refused(tmp_path: Path, command: str) -> None:
    assert_refused(call(command, "--db", tmp_path / ("x" * 300)), 4)


@pytest.mark.parametrize("kind", ["text", "empty", "other database", "newer format"])
@pytest.mark.parametrize("command", ALL)
def test_a_file_that_is_not_a_log_is_refused_and_not_changed(own: Path, kind: str, command: str) -> None:
    spoil(own, kind)
    before = bytes_of(own)

    assert_refused(call(command, "--db", own), 4)

    assert bytes_of(own) == before


def spoil(path: Path, kind: str) -> None:
    match kind:
        case "text":
            path.write_text("date,merchant,amount\n" * 500)
        case "empty":
            path.write_bytes(b"")
        case "newer format":
            with open_sqlite(path) as connection:
                connection.execute("pragma user_version = 99")
        case "other database":
            path.unlink()
            with sqlite3.connect(path) as other:
                other.execute("create table changeset (position)")
            other.close()


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("place", ["name", "schema", "pages", "content", "keys", "digests"])
def test_a_damaged_log_is_reported_or_read_without_a_traceback(own: Path, place: str, command: str) -> None:
    damage(own, place)
    before = bytes_of(own)

    called = call(command, "--db", own)

    assert called.code in ((1, 4) if command == "verify" else (0, 1, 4)), called
    if called.code == 4:
        assert_refused(called, 4)
    if command in READING:
        assert bytes_of(own) == before


def damage(path: Path, place: str) -> None:
    """Change bytes of a closed log."""
    data = bytearray(path.read_bytes())
    with open_sqlite(path) as connection:
        digests = [row[0] for row in connection.execute("select digest from changeset")]
        (page,) = connection.execute("pragma page_size").fetchone()
    match place:
        case "name":
            data[:6] = b"SQLITE"
        case "schema":
            data[100:110] = bytes(10)
        case "pages":
            for start_of_page in range(page, len(data), page):
                data[start_of_page] ^= 0xFF
        case "content":
            data[:] = data.replace(b'{"actions":', b'{"actions";')
        case "keys":
            for key in (b"at", b"operations", b"op", b"path", b"reducer"):
                data[:] = data.replace(b'"%s":' % key, b'"%s":' % key.swapcase())
        case "digests":
            # In a row that spans pages a digest may be split in two: it stays unchanged.
            for digest in digests:
                data[:] = data.replace(digest, bytes(len(digest)))
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_a_log_with_one_changed_byte_is_reported_or_read_without_a_traceback(own: Path, seed: int) -> None:
    data = bytearray(own.read_bytes())
    written = [index for index, byte in enumerate(data) if byte]
    data[random.Random(seed).choice(written)] ^= 1 << seed % 8
    own.write_bytes(data)

    for command in ("threads", "runs", "log", "verify", "replay", "stats"):
        assert call(command, "--db", own).code in (0, 1, 4)
