"""What `threadlog demo --verbose` adds: an agent that files expenses, and a planner that delegates."""

from pathlib import Path
from typing import NamedTuple

from ...engine import RunResult
from ...store.log import Log
from ..run_view import result_json
from . import second_process
from .audit import check
from .bookkeeper import bookkeeper
from .delegation import Delegated, delegate
from .expenses import SAMPLE
from .filing import THREAD, file_expenses
from .narration import heading

LOG, REPORT, EXPENSES = "more.db", "expenses.md", "expenses.csv"
FILES = (LOG, REPORT, EXPENSES, second_process.AGENTS, second_process.LOG, second_process.TRIP)


class FurtherScenes(NamedTuple):
    """The outcome of the scenes."""

    db: Path
    filed: RunResult
    delegated: Delegated
    problems: list[str]
    """What verify and replay found."""

    @property
    def is_fine(self) -> bool:
        ends = {self.filed.termination.type, self.delegated.result.termination.type}
        return ends == {"natural_end"} and not self.problems

    def as_json(self) -> dict[str, object]:
        with Log.open(self.db, readonly=True) as log:
            state = log.state(THREAD)
        return {
            "db": str(self.db),
            "expenses": result_json(self.filed) | {"state": state},
            "delegation": self.delegated.as_json(),
            "problems": self.problems,
        }


def play_further_scenes(folder: Path, source: Path | None) -> FurtherScenes:
    """Run the scenes, with the expenses of a CSV or a sample, on a log of their own."""
    db, report = folder / LOG, folder / REPORT
    if source is None:
        source = folder / EXPENSES
        source.write_text(SAMPLE, encoding="utf-8")
    filed = file_expenses(db, source, report)
    delegated = delegate(db, source, folder)
    heading("More: what does the log of these runs answer?")
    problems = check(db, [bookkeeper(source, report), *delegated.agents])
    return FurtherScenes(db, filed, delegated, problems)
