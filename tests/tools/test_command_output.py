"""A command whose output cannot be written, and one that is interrupted with Ctrl-C."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.command import PROGRAM, Called, assert_refused, call, ended, run, start
from support.logs import value_changeset
from threadlog.store import Log
from threadlog.tools.demo.expenses import SAMPLE

# Where the output goes


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose history is longer than a pipe holds."""
    path = tmp_path_factory.mktemp("long") / "long.db"
    with Log.open(path, durability="normal") as log:
        log.append([value_changeset(f"/{n}", n, id=f"c{n}", thread_id="trip") for n in range(2_000)], 0)
    return path


@pytest.mark.parametrize("command", ["log", "log --json", "state trip"])
def test_a_reader_who_has_seen_enough_is_no_error(long: Path, command: str) -> None:
    with start(command, "--db", long) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()

        assert (process.wait(30), process.stderr.read()) == (0, "")


@pytest.mark.parametrize("command", ["stats", "stats --json"])
def test_an_output_that_cannot_be_written(db: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *command.split(), "--db", db],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert_refused(Called(done.returncode, "", done.stderr), 4)


def test_no_output_at_all(db: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM]

    assert subprocess.run([*closed, "stats", "--db", db], check=True).returncode == 0


def test_a_terminal_that_lacks_characters_shows_their_escapes(db: Path) -> None:
    assert run("verify", "--db", db, PYTHONIOENCODING="ascii").out.startswith("\\u2713 verified")


# Ctrl-C


def test_ctrl_c_ends_a_command(db: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    os.mkfifo(heads)
    process = start("verify --heads", heads, "--db", db)

    # Opening waits until the command has opened it, too: then it is in the middle of its work.
    with heads.open("w"):
        process.send_signal(signal.SIGINT)
        called = ended(process)

    assert (called.code, called.out, called.err.strip()) == (130, "", "")


def test_ctrl_c_ends_a_run_and_the_log_says_so(tmp_path: Path) -> None:
    source, folder = tmp_path / "expenses.csv", tmp_path / "demo"
    os.mkfifo(source)
    process = start("demo --input", source, "--folder", folder)
    source.write_text(SAMPLE)
    assert process.stdout
    assert any("read_expenses" in line for line in process.stdout)

    with source.open("w") as file:
        process.send_signal(signal.SIGINT)
        file.write(SAMPLE)
    called = ended(process)

    assert (called.code, called.err.strip()) == (130, "")
    (cancelled,) = call("runs --json", "--db", folder / "demo.db").json()
    assert cancelled["termination"]["type"] == "cancelled"
