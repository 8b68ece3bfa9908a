"""Output that cannot be written, and Ctrl-C."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.command import PROGRAM, Called, assert_refused, call, ended, run, start
from support.logs import value_changeset
from threadlog.store import Log
from threadlog.tools.demo.expenses import SAMPLE

# Output


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose history does not fit into a pipe's buffer."""
    path = tmp_path_factory.mktemp("long") / "long.db"
    with Log.open(path, durability="normal") as log:
        log.append([value_changeset(f"/{n}", n, id=f"c{n}", thread_id="trip") for n in range(2_000)], 0)
    return path


@pytest.mark.parametrize("command", ["log", "log --json", "state trip"])
def test_a_closed_pipe_is_not_an_error(long: Path, command: str) -> None:
    with start(command, "--db", long) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()

        assert (process.wait(30), process.stderr.read()) == (0, "")


@pytest.mark.parametrize("command", ["stats", "stats --json"])
def test_a_full_disk_is_reported(db: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *command.split(), "--db", db],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert_refused(Called(done.returncode, "", done.stderr), 4)


def test_a_closed_standard_output_is_not_an_error(db: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM]

    assert subprocess.run([*closed, "stats", "--db", db], check=True).returncode == 0


def test_characters_that_the_terminal_lacks_are_escaped(db: Path) -> None:
    assert run("verify", "--db", db, PYTHONIOENCODING="ascii").out.startswith("\\u2713 verified")


# Ctrl-C


def test_ctrl_c_interrupts_a_command(db: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    os.mkfifo(heads)
    process = start("verify --heads", heads, "--db", db)

    # Opening a FIFO waits for the reader: the command is now in the middle of its work.
    with heads.open("w"):
        process.send_signal(signal.SIGINT)
        called = ended(process)

    assert (called.code, called.out, called.err.strip()) == (130, "", "")


def test_ctrl_c_during_the_demo_cancels_its_run(tmp_path: Path) -> None:
    source, folder = tmp_path / "expenses.csv", tmp_path / "demo"
    os.mkfifo(source)
    process = start("demo --verbose --input", source, "--folder", folder)
    source.write_text(SAMPLE)
    assert process.stdout
    assert any("read_expenses" in line for line in process.stdout)

    with source.open("w") as file:
        process.send_signal(signal.SIGINT)
        file.write(SAMPLE)
    called = ended(process)

    assert (called.code, called.err.strip()) == (130, "")
    (cancelled,) = call("runs --json", "--db", folder / "more.db").json()
    assert cancelled["termination"]["type"] == "cancelled"
