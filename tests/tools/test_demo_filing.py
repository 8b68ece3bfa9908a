"""demo --verbose: an agent files expenses."""

from pathlib import Path

import pytest

from support.command import Called, call, run
from threadlog.store import Log
from threadlog.tools.demo.filing import file_expenses
from threadlog.tools.demo.narration import silence

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
    return run("demo --verbose --folder", folder, COLUMNS="80")


def test_verbose_also_prints_the_run_its_log_and_its_changes(shown: Called) -> None:
    assert (shown.code, shown.err) == (0, "")
    for text in (
        "Model scripted-bookkeeper failed: rate_limit: too many requests",
        "→ read_expenses(",
        "? May write_report run?  Ann: No. The title must say for which days.",
        "All expenses are filed: 824.60 in total. The report is expenses.md.",
        "     27  ",
        "What changed in its state from version 13 to 27",
        "~ /ledger/filed  11 → 12",
        "+ /ledger/totals/other  1410",
        "✓ verified  59 changesets on 5 threads",
        "✓ replayed  5 runs executed again: identical, byte for byte",
    ):
        assert text.lower() in shown.out.lower()


def test_verbose_fits_a_terminal_of_80_columns(shown: Called, folder: Path) -> None:
    assert [line for line in shown.out.splitlines() if len(line) > 80 and str(folder) not in line] == []


def test_the_agent_writes_its_report(shown: Called, folder: Path) -> None:
    report = (folder / "expenses.md").read_text()

    assert "| lodging | 424.00 |" in report
    assert "| **all** | **824.60** |" in report


def test_the_log_replays_with_the_reducers_of_the_agent(shown: Called, folder: Path, tmp_path: Path) -> None:
    agents = tmp_path / "agents.py"
    agents.write_text("from threadlog.tools.demo.bookkeeper import ledger")

    assert call("verify --db", folder / "more.db").code == 0
    assert call("replay expenses --level reducers --agents", agents, "--db", folder / "more.db").code == 0


def test_the_totals_are_in_the_state(shown: Called, folder: Path) -> None:
    with Log.open(folder / "more.db", readonly=True) as log:
        assert log.state("expenses")["ledger"] == {
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


def test_the_agent_files_the_expenses_of_the_user(tmp_path: Path) -> None:
    source, folder = tmp_path / "mine.csv", tmp_path / "demo"
    source.write_text(OWN, "utf-8")

    shown = call("demo --verbose --input", source, "--folder", folder)

    assert shown.code == 0
    with Log.open(folder / "more.db", readonly=True) as log:
        assert log.state("expenses")["ledger"] == {
            "filed": 5,
            "totals": {"travel": 120100, "other": 400, "culture": 1250},
        }
    assert "| **all** | **1,217.50** |" in (folder / "expenses.md").read_text()
    assert source.read_text("utf-8") == OWN


@pytest.mark.parametrize(
    "text", ["date,merchant,amount\n", "\ufeffdate,merchant,amount,card\n2026-03-01,Bus,0,x\n"]
)
def test_a_csv_can_be_empty_or_come_from_a_spreadsheet(tmp_path: Path, text: str) -> None:
    source = tmp_path / "mine.csv"
    source.write_text(text, "utf-8")

    with silence(True):
        result = file_expenses(tmp_path / "more.db", source, tmp_path / "report.md")

    assert result.termination.type == "natural_end"
