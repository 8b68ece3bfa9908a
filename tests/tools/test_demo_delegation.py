"""The demo's second act: what it says is what the logs of both processes have; none of them outlives it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.command import PROGRAM, call, run
from threadlog.store import Log
from threadlog.tools.demo.expenses import read_csv

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
Killer = Callable[[int, signal.Signals], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made"


@pytest.fixture(scope="module")
def results(folder: Path) -> Any:
    return run("demo --json --folder", folder).json()["delegation"]


def statuses(results: Any) -> dict[str, str]:
    return {each["agent"]: each["status"] for each in results["sub_agents"]}


def test_one_ends_one_is_stopped_and_one_ends_elsewhere(results: Any) -> None:
    assert results["termination"] == {"type": "natural_end"}
    assert statuses(results) == {"researcher": "completed", "watcher": "stopped", "archivist": "completed"}


def test_the_log_says_the_same_of_them(results: Any, folder: Path) -> None:
    with Log.open(folder / "demo.db", readonly=True) as log:
        ends = {
            row.agent: row.termination and row.termination.type for row in log.children(results["run_id"])
        }

    assert ends == {"researcher": "natural_end", "watcher": "cancelled", "archivist": "natural_end"}


def test_what_they_answer_is_in_the_files(results: Any, folder: Path) -> None:
    cents = sum(row["cents"] for row in read_csv(folder / "last-trip.csv"))

    assert (folder / "expenses.csv").read_text().count("Hotel Kamogawa,212.00") == 2
    assert "Hotel Kamogawa (2 times 212.00)" in results["output"]
    assert f"has cost {cents / 100:.2f}, in 4 expenses" in results["output"]


def test_the_mirror_has_the_answer_that_the_second_process_has_in_its_own_log(results: Any) -> None:
    second = results["second_process"]
    mirror = next(each["thread_id"] for each in results["sub_agents"] if each["agent"] == "archivist")

    assert [(each["agent"], each["status"]) for each in second["runs"]] == [("archivist", "done")]
    with Log.open(second["db"], readonly=True) as log:
        said = [message.content for each in log.read(mirror) for message in each.messages]
        assert log.verify() == []
    assert said[-1] in results["output"]


def test_the_second_process_has_ended_as_it_was_told(results: Any) -> None:
    assert results["second_process"]["exit_status"] == 130
    with pytest.raises(ProcessLookupError):
        os.kill(results["second_process"]["pid"], 0)


def test_without_the_extra_the_second_process_is_left_out_and_the_demo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    shown = call("demo --folder", tmp_path / "demo")

    assert shown.code == 0
    assert "pip install 'threadlog[a2a]'" in shown.out
    assert "researcher completed" in shown.out
    assert not (tmp_path / "demo" / "archive.db").exists()


@contextmanager
def at_work(tmp_path: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A demo in a session of its own, as at a terminal, while its second process works."""
    pipe, environment = subprocess.PIPE, os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=environment
    ) as process:
        assert process.stdout
        assert any('→ agent_run({"agent_id": "archivist"' in line for line in process.stdout)
        yield process


def ended(process: subprocess.Popen[str]) -> int:
    """How it ended. Its standard error, which all have that it has started, is at its end: none is left."""
    _, told = process.communicate(timeout=30)
    assert "Traceback" not in told
    return process.returncode


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["process", "terminal"])
def test_ctrl_c_leaves_no_process_behind(tmp_path: Path, kill: Killer) -> None:
    with at_work(tmp_path, *PROGRAM, "demo") as process:
        kill(process.pid, signal.SIGINT)

        assert ended(process) == 130


def test_no_process_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    with at_work(tmp_path, *PROGRAM, "demo") as process:
        process.kill()

        assert ended(process) == -signal.SIGKILL


def test_ctrl_c_ends_make_demo_and_all_that_it_has_started(tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "installed").touch()

    with at_work(tmp_path, "make", "demo", f"VENV={tmp_path}") as process:
        os.killpg(process.pid, signal.SIGINT)

        assert ended(process) != 0
