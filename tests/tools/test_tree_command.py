"""Runs with sub-agents at the terminal: all of them run, and are printed as a tree."""

import signal
from pathlib import Path

import pytest

from support import team_agents
from support.command import call, start
from threadlog.store import Log
from threadlog.tools.look.tree import walk_tree

TEAM = Path(team_agents.__file__)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_an_agent_can_delegate_to_the_others_of_its_file(db: Path) -> None:
    called = call(f"run {TEAM}:planner 'find inns' --thread trip --db {db}")

    assert (called.code, called.err) == (0, "")
    assert "Three inns are found." in called.out
    assert call(f"replay --level run --agents {TEAM} --db {db}").code == 0


def test_runs_and_show_print_the_tree(db: Path) -> None:
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


def test_run_waits_for_background_sub_agents_and_ctrl_c_cancels_them(db: Path) -> None:
    with start(f"run {TEAM}:leaver 'find inns' --thread trip --db {db}") as process:
        assert process.stdout
        for line in process.stdout:
            if "is still running" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait() == 130

    with Log.open(db, readonly=True) as log:
        ends = [row.termination.type if row.termination else None for row in log.runs()]
    assert ends == ["natural_end", "cancelled"]


def test_the_tree_has_every_run_once_even_if_parents_are_missing(db: Path) -> None:
    call(f"run {TEAM}:planner 'find inns' --thread trip --db {db}")
    with Log.open(db, readonly=True) as log:
        rows = log.runs()

    assert [depth for depth, _ in walk_tree(rows)] == [0, 1, 2]
    assert [depth for depth, _ in walk_tree(rows[1:])] == [0, 1]
    assert [row for _, row in walk_tree(list(reversed(rows)))] == rows
