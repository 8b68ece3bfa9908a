"""Wrong arguments, and wrong files beside the log."""

import os
from pathlib import Path

import pytest

from support.command import ALL, assert_refused, bytes_of, call

UNKNOWN_THREAD = ("runs --thread nope", "show nope", "log nope", "state nope", "diff nope 1", "replay nope")
TOO_LARGE = 10**30
"""More than a column or a C integer can hold."""

UNKNOWN_VERSION = (
    "show trip --at 9",
    "show trip --at -1",
    f"show trip --at {TOO_LARGE}",
    "log trip --after 9",
    "log trip --after -1",
    "log trip --until 9",
    "log trip --until -1",
    f"log trip --until {TOO_LARGE}",
    "log --after -1",
    f"log --after -{TOO_LARGE}",
    "state trip --at 9",
    "state trip --at -1",
    f"state trip --at -{TOO_LARGE}",
    "diff trip 9",
    "diff trip 1 9",
    f"diff trip {TOO_LARGE}",
)
WRONG_USAGE = (
    "nope",
    "show",
    "state",
    "diff trip",
    "show trip more",
    "show trip --at x",
    "log --until 3",
    "log trip --after 1.5",
    "diff trip one",
    "state trip budget",
    "state trip /~2",
    "replay --level nope",
    "replay --agents planner.py",
    "demo --nope",
    "demo --verbose --input nope.csv",
    f"demo --input {__file__}",
    "demo more",
)


# Arguments


@pytest.mark.parametrize("command", UNKNOWN_THREAD)
def test_an_unknown_thread_is_not_found(db: Path, command: str) -> None:
    assert_refused(call(command, "--db", db), 3)


@pytest.mark.parametrize("command", UNKNOWN_THREAD)
def test_a_thread_name_that_is_not_unicode_is_not_found(db: Path, command: str) -> None:
    stray = os.fsdecode(b"\xff")

    assert_refused(call(command.replace("nope", stray), "--db", db), 3)


@pytest.mark.parametrize("command", UNKNOWN_VERSION)
def test_an_unknown_version_is_not_found(db: Path, command: str) -> None:
    assert_refused(call(command, "--db", db), 3)


def test_a_negative_version_is_not_found(db: Path) -> None:
    assert_refused(call("diff --db", db, "--", "trip", "-1"), 3)


def test_a_pointer_without_a_value_is_not_found(db: Path) -> None:
    assert_refused(call("state trip /budget/nope", "--db", db), 3)


@pytest.mark.parametrize("command", ALL)
def test_the_log_is_required(command: str) -> None:
    assert_refused(call(command), 2)


@pytest.mark.parametrize("command", ALL)
def test_an_unknown_option_is_refused(db: Path, command: str) -> None:
    assert_refused(call(f"{command} --nope", "--db", db), 2)


@pytest.mark.parametrize("command", WRONG_USAGE)
def test_wrong_usage_is_refused(db: Path, command: str) -> None:
    assert_refused(call(command, *(() if command.startswith(("demo", "nope")) else ("--db", db))), 2)


def test_without_a_command_the_help_is_printed() -> None:
    called = call("")

    assert called.code == 2
    assert "Commands:" in called.err


# Files beside the log


@pytest.mark.parametrize(
    "text",
    [
        "def (",
        "raise ValueError('no luck')",
        "import nowhere",
        "raise SystemExit(7)",
        "from support.trip_agents import *\nagain = reducer('/again', name='budget')(budget.function)",
    ],
)
def test_a_file_of_agents_that_cannot_be_run_is_refused(db: Path, tmp_path: Path, text: str) -> None:
    agents = tmp_path / "agents.py"
    agents.write_text(text)

    assert_refused(call("replay --level reducers --agents", agents, "--db", db), 2)


@pytest.mark.parametrize("name", ["nope.py", "agents.txt", ""])
def test_a_path_that_is_not_a_python_file_is_refused(db: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "agents.txt").write_text("x = 1")

    assert_refused(call("replay --level reducers --agents", tmp_path / name, "--db", db), 2)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"position": "x"}', "\xff"])
def test_a_file_that_is_not_a_heads_file_is_refused(db: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "heads.json").write_text(text, "latin-1")

    assert_refused(call("verify --heads", tmp_path / "heads.json", "--db", db), 2)


def test_a_missing_heads_file_is_not_found(db: Path, tmp_path: Path) -> None:
    assert_refused(call("verify --heads", tmp_path / "nope.json", "--db", db), 3)
    assert_refused(call("verify --heads", tmp_path, "--db", db), 2)


def test_heads_that_cannot_be_written_are_reported(db: Path, tmp_path: Path) -> None:
    assert_refused(call("verify --save-heads", tmp_path / "no" / "heads.json", "--db", db), 2)


def test_heads_are_never_saved_over_the_log(own: Path) -> None:
    before = bytes_of(own)

    assert_refused(call("verify --save-heads", own, "--db", own), 2)

    assert bytes_of(own) == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column date, merchant, amount"),
        ("date,merchant\n2026-10-01,Bus\n", "no column amount"),
        ("date,merchant,amount\n2026-10-01,Bus,much\n", "line 2"),
        ("date,merchant,amount\n2026-10-01,Bus,1\n2026-10-01,Bus,inf\n", "line 3"),
        ("date,merchant,amount\n2026-10-01,Bus,0.005\n", "line 2"),
        ("date,merchant,amount\nyesterday,Bus,1\n", "line 2"),
        ("date,merchant,amount\n2026-10-01\n", "line 2"),
        ("date,merchant,amount\n2026-10-01,\xff,1\n", "utf-8"),
    ],
)
def test_unreadable_expenses_are_refused_before_a_folder_is_created(
    tmp_path: Path, text: str, problem: str
) -> None:
    source, folder = tmp_path / "own.csv", tmp_path / "demo"
    source.write_text(text, "latin-1")

    called = call("demo --verbose --input", source, "--folder", folder)

    assert_refused(called, 2)
    assert problem in called.err
    assert not folder.exists()


def test_a_demo_whose_agent_fails_exits_with_one(tmp_path: Path) -> None:
    source = tmp_path / "own.csv"
    source.write_text(f"date,merchant,amount\n2026-10-01,Bus,{10**20}\n")

    called = call("demo --json --verbose --input", source, "--folder", tmp_path / "demo")

    assert called.code == 1
    assert "the bookkeeper cannot continue" in called.json()["further"]["expenses"]["termination"]["detail"]


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_demo_folder_that_cannot_be_created_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("mine")

    assert_refused(call("demo --folder", f"{tmp_path}/{folder}"), 2)

    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["demo.db", "agent.py", "bank.csv", "more.db", "expenses.csv"])
def test_the_demo_never_overwrites_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    assert_refused(call("demo --verbose --folder", tmp_path), 2)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "mine")]
