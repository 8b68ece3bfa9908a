"""The command: three acts, one audit of them all, and the commands to try next."""

import csv
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from ...engine import RunResult
from ...engine.agents import Registered
from ...store.log import Log
from ..check import print_findings, replay_runs
from ..run_view import result_json
from ..terminal import console, print_json, styled_text
from . import payments, second_process
from .bookkeeper import bookkeeper
from .crash import Crashed, survive_a_crash
from .delegation import Delegated, delegate
from .expenses import SAMPLE, read_csv
from .filing import THREAD, file_expenses
from .narration import heading, print_line, silent
from .payments import cashier

LOG, REPORT, EXPENSES = "demo.db", "report.md", "expenses.csv"
FILES = (
    LOG,
    REPORT,
    *(second_process.AGENTS, second_process.LOG, second_process.TRIP),
    *(payments.BILLS, payments.PAYMENTS, payments.RECEIPTS),
)


@click.command()
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Your expenses, instead of a sample.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put the files (default: new).",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the results, as JSON.")
@click.pass_context
def demo(context: click.Context, source: Path | None, folder: Path | None, as_json: bool) -> None:
    """Run agents, kill a process while it works, and show what the log says about all of it.

    1: an agent files expenses; its log is shown, verified and replayed. 2: a planner delegates, also to an
    agent in a second process (with the extra a2a). 3: a process is killed during a payment; its run is
    recovered, and nothing is paid twice.

    No key, and no network but loopback: the models are scripted, the tools and the files are real. Give
    your own CSV (columns date, merchant, amount) with --input.
    """
    folder, source = _prepare(folder, source)
    is_quiet = as_json or bool(context.obj)
    path, report = folder / LOG, folder / REPORT
    with silent(is_quiet):
        filed = file_expenses(path, source, report)
        delegated = delegate(path, source, folder)
        crashed = survive_a_crash(path, folder)
        agents = [bookkeeper(source, report), *delegated.agents, cashier(folder)]
        problems = _audit(path, agents)
        _print_next_commands(path)
    if is_quiet:
        print_json(_json(path, filed, delegated, crashed, problems))
    results = (filed, delegated.result, crashed.result)
    is_fine = all(result.termination.type == "natural_end" for result in results) and not problems
    context.exit(0 if is_fine else 1)


def _prepare(folder: Path | None, source: Path | None) -> tuple[Path, Path]:
    """Return the folder, and the CSV, which is written there unless the user has given one."""
    if source:
        _refuse_unreadable(source)
    folder = folder or Path(tempfile.mkdtemp(prefix="threadlog-demo-"))
    _make_folder(folder, [*FILES, *([] if source else [EXPENSES])])
    if source is None:
        source = folder / EXPENSES
        source.write_text(SAMPLE)
    return folder, source


def _refuse_unreadable(source: Path) -> None:
    try:
        list(read_csv(source))
    except (OSError, ValueError, csv.Error) as err:
        raise click.UsageError(f"the expenses cannot be read: {err}") from err


def _make_folder(folder: Path, files: Iterable[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise click.UsageError(f"the folder {str(folder)!r} cannot be created: {err.strerror}") from err
    for name in files:
        if (folder / name).exists():
            raise click.UsageError(f"{str(folder / name)!r} already exists: give another --folder")


def _audit(path: Path, agents: Sequence[Registered]) -> list[str]:
    """Verify the log and execute all runs of the three acts again; return all problems."""
    heading("all of it: is the record intact, and would the agents do the same again?")
    with Log.open(path, readonly=True) as log:
        findings = log.verify()
        print_findings(findings, None if findings else log.heads())
        runs = [row.run_id for row in log.runs()]
        problems = replay_runs(log, runs, agents)
    for problem in problems:
        print_line(styled_text(f"✗ {problem}", "red"))
    same = f"{len(runs) - len(problems)} of {len(runs)} runs executed again: the same bytes"
    print_line(styled_text("✓ ", "bold green") + styled_text(same))
    return [*map(str, findings), *problems]


def _print_next_commands(path: Path) -> None:
    with Log.open(path, readonly=True) as log:
        middle = log.head(THREAD) // 2
    console.print()
    console.print(styled_text(f"All files are in {path.parent}\nContinue with:"), soft_wrap=True)
    for command in (
        "runs",
        f"log {THREAD}",
        f"show {payments.THREAD}",
        f"state {THREAD} /ledger --at {middle}",
        "verify",
        "stats",
    ):
        console.print(styled_text(f"  threadlog {command} --db {path}", "bold"), soft_wrap=True)


def _json(
    path: Path, filed: RunResult, delegated: Delegated, crashed: Crashed, problems: list[str]
) -> dict[str, object]:
    with Log.open(path, readonly=True) as log:
        state = log.state(THREAD)
    return {
        "db": str(path),
        "expenses": result_json(filed) | {"state": state},
        "delegation": delegated.as_json(),
        "crash": crashed.as_json(),
        "problems": problems,
    }
