"""The demo's first act and its command; test_demo_delegation.py and test_demo_crash.py have the others."""

import time
from pathlib import Path
from typing import Any

import pytest

from support.command import Called, assert_refused, bytes_of, call, run
from threadlog.store import Log
from threadlog.tools.demo.filing import file_expenses
from threadlog.tools.demo.narration import silent

OWN = """date,merchant,amount
2026-03-01,Flight Oslo-Rome,"1200.05"
2026-03-01,Trattoria da Enzo,-3
2026-03-02,Flight Rome-Oslo,0.95
2026-03-02,Città del gusto [red],7
2026-03-03,Museum of Rome,12.5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made"


@pytest.fixture(scope="module")
def shown(folder: Path) -> Called:
    """The demo, as a newcomer runs it."""
    return run("demo --folder", folder)


def test_the_demo_shows_the_run_its_log_its_states_and_its_audit(shown: Called) -> None:
    assert (shown.code, shown.err) == (0, "")
    for text in (
        "→ read_expenses(",
        "All filed. 824.60 in all; the report is report.md.",
        "the log: all of it, and nothing else",
        "27  ",
        "the state between version 13 and version 27",
        "~ /ledger/filed  11 → 12",
        "+ /ledger/totals/other  1410",
        "✓ verified  29 changesets on 1 threads",
        "✓ expenses  27 versions",
        "✓ 6 of 6 runs executed again: the same bytes",
    ):
        assert text in shown.out


def test_the_demo_shows_a_retry_an_approval_and_an_execution_on_the_record(shown: Called) -> None:
    for text in (
        "scripted-bookkeeper failed (rate_limit: the model is busy, as models are), it is asked again",
        "? may write_report be called with",
        "no: The title must say for which days.",
        "    yes\n",
        "✓ executed again on what was recorded: the same bytes",
    ):
        assert text in shown.out


def test_the_demo_shows_what_is_known_of_a_run_whose_process_was_killed(shown: Called) -> None:
    for text in (
        "the process is dead: exit status -9",
        'done          pay({"cents": 42400, "merchant": "Hotel Kamogawa"})',
        'unknown       pay({"cents": 1860, "merchant": "Taxi MK"})',
        'not started   pay({"cents": 950, "merchant": "Museum of Kyoto"})',
        "✓ nothing is paid twice",
    ):
        assert text in shown.out


def test_the_demo_leaves_its_expenses_its_report_and_its_log(shown: Called, folder: Path) -> None:
    assert {"expenses.csv", "report.md"} <= {file.name for file in folder.iterdir()}
    assert set(bytes_of(folder / "demo.db")) == {"demo.db"}
    assert "| lodging | 424.00 |" in (folder / "report.md").read_text()
    assert "| **all** | **824.60** |" in (folder / "report.md").read_text()


def test_every_call_that_the_demo_names_works(shown: Called) -> None:
    named = [
        line.split("threadlog ")[1] for line in shown.out.splitlines() if line.startswith("  threadlog ")
    ]

    assert [call(command).code for command in named] == [0] * 6


def test_the_log_of_the_demo_is_intact_and_reduced_again_it_is_the_same(
    shown: Called, folder: Path, tmp_path: Path
) -> None:
    agents = tmp_path / "agents.py"
    agents.write_text("from threadlog.tools.demo.bookkeeper import ledger")

    assert call("verify --db", folder / "demo.db").code == 0
    assert call("replay expenses --level reducers --agents", agents, "--db", folder / "demo.db").code == 0


def test_the_demo_fits_a_terminal_of_80_columns_and_takes_less_than_20_seconds(tmp_path: Path) -> None:
    before = time.monotonic()
    shown = run("demo --folder", tmp_path / "d", COLUMNS="80")

    assert shown.code == 0
    assert time.monotonic() - before < 20
    assert [line for line in shown.out.splitlines() if len(line) > 80 and str(tmp_path) not in line] == []


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The results of two demos, for machines."""
    folder = str(tmp_path_factory.mktemp("twice"))
    return [run(command, TMPDIR=folder).json() for command in ("demo --json", "--json demo")]


def test_the_demo_makes_a_folder_of_its_own_each_time(twice: list[Any]) -> None:
    first, second = twice

    assert Path(first["db"]).is_file()
    assert Path(first["db"]).parent != Path(second["db"]).parent


@pytest.mark.parametrize("which", [0, 1])
def test_the_demo_as_json_is_its_results(twice: list[Any], which: int) -> None:
    result = twice[which]["expenses"]

    assert twice[which]["problems"] == []
    assert (result["status"], result["termination"], result["version"]) == (
        "done",
        {"type": "natural_end"},
        27,
    )
    assert result["state"]["ledger"] == {
        "filed": 12,
        "totals": {
            "travel": 30260,
            "lodging": 42400,
            "food": 4340,
            "culture": 950,
            "office": 3100,
            "other": 1410,
        },
    }


def test_the_demo_files_the_users_own_expenses(tmp_path: Path) -> None:
    source, folder = tmp_path / "mine.csv", tmp_path / "demo"
    source.write_text(OWN, "utf-8")

    shown = call("demo --input", source, "--folder", folder)

    assert shown.code == 0
    with Log.open(folder / "demo.db", readonly=True) as log:
        assert log.state("expenses")["ledger"] == {
            "filed": 5,
            "totals": {"travel": 120100, "other": 400, "culture": 1250},
        }
    assert "| **all** | **1,217.50** |" in (folder / "report.md").read_text()
    assert source.read_text("utf-8") == OWN


@pytest.mark.parametrize(
    "text", ["date,merchant,amount\n", "\ufeffdate,merchant,amount,card\n2026-03-01,Bus,0,x\n"]
)
def test_expenses_may_be_none_and_come_from_a_spreadsheet(tmp_path: Path, text: str) -> None:
    source = tmp_path / "mine.csv"
    source.write_text(text, "utf-8")

    with silent(True):
        result = file_expenses(tmp_path / "demo.db", source, tmp_path / "report.md")

    assert result.termination.type == "natural_end"


def test_a_second_demo_in_the_same_folder_is_refused_and_changes_nothing(shown: Called, folder: Path) -> None:
    before = {path: path.is_file() and path.read_bytes() for path in folder.iterdir()}

    refused = call("demo --folder", folder)

    assert_refused(refused, 2)
    assert "give another --folder" in refused.err
    assert {path: path.is_file() and path.read_bytes() for path in folder.iterdir()} == before
