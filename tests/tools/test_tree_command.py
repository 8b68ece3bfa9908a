"""Runs that have started others, at the terminal: they all run, and are shown as a tree."""

import signal
from pathlib import Path

import pytest

from support import team_agents
from support.command import call, start
from threadlog.store import Log
from threadlog.tools.look.tree import as_tree

TEAM = Path(team_agents.__file__)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_the_agents_of_a_file_work_for_the_one_that_runs(db: Path) -> None:
    called = call(f"run {TEAM}:planner 'find inns' --thread trip --db {db}")

    assert (called.code, called.err) == (0, "")
    assert "Three inns are found." in called.out
    assert call(f"replay --level run --agents {TEAM} --db {db}").code == 0


def test_runs_and_show_draw_the_tree(db: Path) -> None:
    call(f"run {TEAM}:planner 'find inns' --thread trip --db {db}")
    with Log.open(db, readonly=True) as log:
        rows = {row.agent: row for row in log.runs()}

    (planner, researcher, reader) = (rows[name].run_id for name in ("planner", "researcher", "reader"))
    lines = call(f"show trip --db {db}").out.splitlines()
    tree = [line for line in lines if line.startswith(("run ", "└─", "   └─"))]
    assert [line.split(":")[0] for line in tree] == [
        f"run {planner}",
        f"└─ {researcher}",
        f"   └─ {reader}",
    ]
    assert call(f"runs --db {db}").out.count("└─ ") == 2


def test_what_goes_on_in_the_background_is_waited_for_and_cancelled_by_a_ctrl_c(db: Path) -> None:
    with start(f"run {TEAM}:leaver 'find inns' --thread trip --db {db}") as process:
        assert process.stdout
        for line in process.stdout:
            if "still works" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait() == 130

    with Log.open(db, readonly=True) as log:
        ends = [row.termination.type if row.termination else None for row in log.runs()]
    assert ends == ["natural_end", "cancelled"]


def test_a_tree_has_every_run_once_whatever_is_missing(db: Path) -> None:
    call(f"run {TEAM}:planner 'find inns' --thread trip --db {db}")
    with Log.open(db, readonly=True) as log:
        rows = log.runs()

    assert [depth for depth, _ in as_tree(rows)] == [0, 1, 2]
    assert [depth for depth, _ in as_tree(rows[1:])] == [0, 1]
    assert [row for _, row in as_tree(list(reversed(rows)))] == rows
