"""demo --verbose: a planner delegates, also to an agent in a second process that ends with the demo."""

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

Killer = Callable[[int, signal.Signals], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made"


@pytest.fixture(scope="module")
def further(folder: Path) -> Any:
    return run("demo --json --verbose --folder", folder).json()["further"]


@pytest.fixture(scope="module")
def results(further: Any) -> Any:
    return further["delegation"]


def statuses(results: Any) -> dict[str, str]:
    return {each["agent"]: each["status"] for each in results["sub_agents"]}


def test_all_runs_finish_and_replay(further: Any) -> None:
    assert further["problems"] == []
    assert further["expenses"]["termination"] == {"type": "natural_end"}
    assert further["delegation"]["termination"] == {"type": "natural_end"}


def test_one_sub_agent_completes_one_is_stopped_and_a_remote_one_completes(results: Any) -> None:
    assert statuses(results) == {"researcher": "completed", "watcher": "stopped", "archivist": "completed"}


def test_the_log_has_the_same_outcomes(results: Any, folder: Path) -> None:
    with Log.open(folder / "more.db", readonly=True) as log:
        ends = {
            row.agent: row.termination and row.termination.type for row in log.children(results["run_id"])
        }

    assert ends == {"researcher": "natural_end", "watcher": "cancelled", "archivist": "natural_end"}


def test_the_answers_match_the_files(results: Any, folder: Path) -> None:
    cents = sum(row["cents"] for row in read_csv(folder / "last-trip.csv"))

    assert (folder / "expenses.csv").read_text().count("Hotel Kamogawa,212.00") == 2
    assert "Hotel Kamogawa (2 times 212.00)" in results["output"]
    assert f"trip cost {cents / 100:.2f}, in 4 expenses" in results["output"]


def test_the_mirror_thread_has_the_answer_of_the_second_process(results: Any) -> None:
    second = results["second_process"]
    mirror = next(each["thread_id"] for each in results["sub_agents"] if each["agent"] == "archivist")

    assert [(each["agent"], each["status"]) for each in second["runs"]] == [("archivist", "done")]
    with Log.open(second["db"], readonly=True) as log:
        texts = [message.content for each in log.read(mirror) for message in each.messages]
        assert log.verify() == []
    assert texts[-1] in results["output"]


def test_the_second_process_has_ended_after_sigterm(results: Any) -> None:
    assert results["second_process"]["exit_status"] == 130
    with pytest.raises(ProcessLookupError):
        os.kill(results["second_process"]["pid"], 0)


def test_without_the_extra_the_demo_prints_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    shown = call("demo --verbose --folder", tmp_path / "demo")

    assert shown.code == 0
    assert "pip install 'threadlog[a2a]'" in shown.out
    assert "researcher completed" in shown.out
    assert not (tmp_path / "demo" / "archive.db").exists()


@contextmanager
def demo_at_work(tmp_path: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a demo in its own session, as at a terminal, until its second process works."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        assert any('→ agent_run({"agent_id": "archivist"' in line for line in process.stdout)
        yield process


def ended(process: subprocess.Popen[str]) -> int:
    """Return the exit status. All processes of the demo share its standard error: at its end none is left."""
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    return process.returncode


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["process", "terminal"])
def test_ctrl_c_ends_all_processes(tmp_path: Path, kill: Killer) -> None:
    with demo_at_work(tmp_path, *PROGRAM, "demo", "--verbose") as process:
        kill(process.pid, signal.SIGINT)

        assert ended(process) == 130


def test_killing_the_demo_ends_its_second_process(tmp_path: Path) -> None:
    with demo_at_work(tmp_path, *PROGRAM, "demo", "--verbose") as process:
        process.kill()

        assert ended(process) == -signal.SIGKILL
