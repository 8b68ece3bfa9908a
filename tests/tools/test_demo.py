"""The demo: a process is killed in the middle of a payment, its run is recovered, nothing is paid twice."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.command import PROGRAM, Called, assert_refused, bytes_of, call, run
from support.programs import environment
from support.terminals import read
from threadlog.store import Log
from threadlog.tools.demo.payments import read_names

ROOT = Path(__file__).parents[2]
BILLS = ["Hotel Kamogawa", "Taxi MK", "Museum of Kyoto"]
RUN = "pay-the-bills"


# As a newcomer sees it


class Played(NamedTuple):
    """A demo that ran in a shell, in an empty folder."""

    folder: Path
    shell: dict[str, str]
    """The environment of the shell: it finds `threadlog`."""

    out: str
    seconds: float

    def paste(self, line: str) -> subprocess.CompletedProcess[str]:
        """Paste a line into the shell."""
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=self.shell,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder, programs = tmp_path_factory.mktemp("newcomer"), tmp_path_factory.mktemp("bin")
    install(programs)
    shell = environment(PATH=f"{programs}:{os.environ['PATH']}", COLUMNS="80")
    demo, before = Played(folder, shell, "", 0), time.monotonic()
    done = demo.paste("threadlog demo")
    assert done.returncode == 0, done.stdout
    return demo._replace(out=done.stdout, seconds=time.monotonic() - before)


def install(programs: Path) -> None:
    """Make a folder with the program `threadlog`, as pip would."""
    program = programs / "threadlog"
    program.write_text(f"#!{sys.executable}\nfrom threadlog.tools.cli import main\nmain()\n")
    program.chmod(0o755)


def commands(out: str) -> list[str]:
    """Return the commands that a demo suggests."""
    return [line.strip() for line in out.partition("Try:")[2].splitlines() if line]


def test_the_demo_tells_which_payments_are_finished_uncertain_and_never_started(played: Played) -> None:
    for line in (
        '  finished       pay({"bill": "Hotel Kamogawa", "cents": 42400})\n',
        '  uncertain      pay({"bill": "Taxi MK", "cents": 1860})\n',
        '  never started  pay({"bill": "Museum of Kyoto", "cents": 950})\n',
        "? Was Taxi MK paid?  Ann: Yes, without a receipt.",
        "✓ Every bill is paid, and nothing is paid twice.",
    ):
        assert line in played.out


def test_the_demo_shows_that_the_model_reads_a_denial(played: Played) -> None:
    (denied, reads, corrects) = (
        played.out.index(text)
        for text in (
            "? May send_report run?  Ann: No. Say that the receipt of Taxi MK is missing.",
            '← the model reads {"error": "Say that the receipt of Taxi MK is missing."}',
            '→ send_report({"text": "3 bills paid. No receipt: Taxi MK."})',
        )
    )

    assert denied < reads < corrects


def test_the_demo_answers_who_decided_what_and_checks_its_log(played: Played) -> None:
    for line in (
        '  pay was approved by ann, with the result {"paid": "Taxi MK", "receipt": false}\n',
        "  send_report was denied by ann: Say that the receipt of Taxi MK is missing.\n",
        "  send_report was approved by ann\n",
        "✓ verified  25 changesets on 1 thread",
        "✓ replayed  1 run executed again: identical, byte for byte",
    ):
        assert line in played.out


def test_the_demo_takes_less_than_20_seconds(played: Played) -> None:
    assert played.seconds < 20


@pytest.mark.parametrize("columns", [80, 100])
def test_the_demo_fits_60_lines_of_a_terminal(tmp_path: Path, columns: int) -> None:
    lines = at_a_terminal(tmp_path, columns)

    assert sum(max(1, ceil(len(line) / columns)) for line in lines) <= 60
    assert [line for line in lines if len(line) > columns and "threadlog replay" not in line] == []


def at_a_terminal(folder: Path, columns: int) -> list[str]:
    """Run the demo at a terminal without colors, and return its lines."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(sys.executable, [*PROGRAM, "demo"], environment(COLUMNS=str(columns), TERM="dumb"))
    shown = b""
    while piece := read(terminal):
        shown += piece
    assert os.waitpid(child, 0)[1] == 0, shown.decode()
    return [line.rstrip() for line in shown.decode().splitlines()]


def test_every_command_that_the_demo_prints_works_when_pasted(played: Played) -> None:
    printed = commands(played.out)

    assert len(printed) == 5
    for line in printed:
        done = played.paste(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the Makefile, with everything installed."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    install(tmp_path / ".venv" / "bin")
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def test_make_demo_prints_commands_that_work_without_activating_its_environment(project: Path) -> None:
    demo = Played(project, environment(), "", 0)

    # Below another make, as in `make check`, it would also print its folder.
    printed = commands(demo.paste("make --no-print-directory demo").stdout)

    assert {line.split()[0] for line in printed} == {".venv/bin/threadlog"}
    assert demo.paste(printed[0]).returncode == 0


def test_ctrl_c_ends_make_demo(project: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["make", "demo"],
        cwd=project,
        env=environment(),
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode != 0
    assert "Traceback" not in errors


def test_a_second_demo_writes_to_a_new_folder(played: Played) -> None:
    before, first = set(played.folder.iterdir()), bytes_of(played.folder / "threadlog-demo" / "demo.db")

    shown = played.paste("threadlog demo").stdout

    (new,) = set(played.folder.iterdir()) - before
    assert f"threadlog verify --db {new.name}/demo.db" in shown
    assert bytes_of(played.folder / "threadlog-demo" / "demo.db") == first


# What it leaves


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made"


@pytest.fixture(scope="module")
def results(folder: Path) -> Any:
    called: Called = run("demo --json --folder", folder)
    assert (called.code, called.err) == (0, "")
    return called.json()


def test_the_evidence_is_that_of_a_killed_process(results: Any, folder: Path) -> None:
    with Log.open(folder / "demo.db", readonly=True) as log:
        (recovered,) = (each for each in log.read("payments") if each.reason == "recovered")

    assert recovered.orphan
    assert recovered.orphan.model_dump(mode="json") == results["evidence"]
    assert [call["fate"] for call in results["evidence"]["calls"]] == ["unknown", "not_started"]
    with pytest.raises(ProcessLookupError):
        os.kill(results["evidence"]["executor"]["pid"], 0)


def test_each_bill_is_paid_once_and_the_interrupted_one_has_no_receipt(results: Any, folder: Path) -> None:
    assert read_names(folder / "bank.csv") == results["payments"] == BILLS
    assert read_names(folder / "receipts.csv") == results["receipts"] == [BILLS[0], BILLS[2]]
    assert (folder / "report.txt").read_text() == "3 bills paid. No receipt: Taxi MK."


def test_the_run_finishes_in_a_later_epoch(results: Any, folder: Path) -> None:
    with Log.open(folder / "demo.db", readonly=True) as log:
        row = log.run(RUN)

    assert row
    assert (row.status, row.epoch, results["termination"]) == ("done", 4, {"type": "natural_end"})
    assert results["problems"] == []


def test_json_prints_only_the_results(results: Any, folder: Path) -> None:
    assert results["db"] == str(folder / "demo.db")
    assert set(bytes_of(folder / "demo.db")) == {"demo.db"}


def test_a_second_demo_in_the_same_folder_is_refused_and_changes_nothing(results: Any, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}

    refused = call("demo --folder", folder)

    assert_refused(refused, 2)
    assert "choose another --folder" in refused.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
