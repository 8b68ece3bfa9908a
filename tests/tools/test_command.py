"""What every read-only command guarantees, also while another process writes to the log."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import READING, bytes_of, call


@pytest.mark.parametrize("command", READING)
def test_a_read_only_command_does_not_change_the_file(db: Path, command: str) -> None:
    before = bytes_of(db)

    called = call(command, "--db", db)

    assert (called.code, called.err) == (0, "")
    assert bytes_of(db) == before


@pytest.mark.parametrize("command", READING)
def test_json_can_come_before_or_after_the_command(db: Path, command: str) -> None:
    called = call(f"{command} --json", "--db", db)

    assert [json.loads(text) for text in json_values(called.out)]
    assert call(f"--json {command}", "--db", db) == called


def json_values(out: str) -> list[str]:
    """Split an output into its JSON values: one per line, or one that spans all lines."""
    return [out] if out.startswith(("{\n", "[\n")) else out.splitlines()


@pytest.mark.parametrize("command", READING)
def test_the_log_can_be_named_by_an_environment_variable(db: Path, command: str) -> None:
    assert call(command, THREADLOG_DB=str(db)) == call(command, "--db", db)


@pytest.mark.parametrize("command", READING)
def test_a_log_can_be_read_while_another_process_writes(held: Path, command: str) -> None:
    called = call(command, "--db", held)

    assert (called.code, called.err) == (0, "")


def test_an_append_of_another_process_is_visible(held: Path) -> None:
    threads = call("threads --json", "--db", held).json()

    assert [row["thread_id"] for row in threads] == ["trip", "talk", "new"]


HOLD = """
import sys
from threadlog.store import Changeset, Log
with Log.open(sys.argv[1]) as log:
    log.append(Changeset(id="held", thread_id="new", reason="edited", at=0), 0)
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def held(db: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log that another process has appended to and holds open."""
    path = Path(shutil.copy(db, tmp_path_factory.mktemp("held") / "held.db"))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        yield path


def test_stats_counts_the_bytes_of_the_write_ahead_log(held: Path) -> None:
    figures = call("stats --json", "--db", held).json()

    assert figures["bytes"] == sum(map(len, bytes_of(held).values())) > held.stat().st_size
