"""`threadlog demo`: agent runs that are nothing but their log, in three acts."""

import csv
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from ...engine import RunResult
from ...engine.agents import Registered
from ...engine.replay import replay_run
from ...store.log import Log
from ..check.audit import print_findings
from ..terminal import console, print_json, styled
from . import payments, second
from .crash import Crashed, survive_a_crash
from .delegation import Delegated, delegate
from .expenses import SAMPLE, bookkeeper, expenses
from .filing import THREAD, file_expenses
from .payments import cashier
from .telling import heading, put, silent

MADE = (
    "demo.db",
    "report.md",
    *(second.AGENTS, second.LOG, second.TRIP),
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
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the logs go (default: new)."
)
@click.option("--json", "as_json", is_flag=True, help="Print only the results, as JSON.")
@click.pass_context
def demo(context: click.Context, source: Path | None, folder: Path | None, as_json: bool) -> None:
    """Run agents, have a process killed at its work, and show what the log says of it all.

    1: an agent files expenses; its log is shown, verified and replayed. 2: a planner has others work for
    it, one of them in a second process (with the extra a2a). 3: a process is killed in the midst of a
    payment; its run is recovered, and nothing is paid twice.

    No key, and no network but loopback: the models are scripted, the tools and the files are real. Give
    your own CSV (columns date, merchant, amount) with --input.
    """
    if source:
        _check(source)
    folder = folder or Path(tempfile.mkdtemp(prefix="threadlog-demo-"))
    _prepare(folder, [*MADE, *([] if source else ["expenses.csv"])])
    if source is None:
        source = folder / "expenses.csv"
        source.write_text(SAMPLE)
    quiet = as_json or bool(context.obj)
    path = folder / "demo.db"
    with silent(quiet):
        filed = file_expenses(path, source, folder / "report.md")
        delegated = delegate(path, source, folder)
        crashed = survive_a_crash(path, folder)
        problems = _audit(
            path, [bookkeeper(source, folder / "report.md"), *delegated.agents, cashier(folder)]
        )
        _tell_commands(path)
    if quiet:
        print_json(_results(path, filed, delegated, crashed, problems))
    results = (filed, delegated.result, crashed.result)
    is_fine = all(result.termination.type == "natural_end" for result in results) and not problems
    context.exit(0 if is_fine else 1)


def _check(source: Path) -> None:
    try:
        list(expenses(source))
    except (OSError, ValueError, csv.Error) as err:
        raise click.UsageError(f"the expenses cannot be read: {err}") from err


def _prepare(folder: Path, made: Iterable[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise click.UsageError(f"the folder {str(folder)!r} cannot be made: {err.strerror}") from err
    for name in made:
        if (folder / name).exists():
            raise click.UsageError(f"{str(folder / name)!r} is there already: give another --folder")


def _audit(path: Path, agents: Sequence[Registered]) -> list[str]:
    """All that is wrong with the log of the three acts: the bytes, and what today's agents would do."""
    heading("all of it: is the record intact, and would the agents do the same again?")
    with Log.open(path, readonly=True) as log:
        findings = log.verify()
        print_findings(findings, None if findings else log.heads())
        rows = log.runs()
        again = [anyio.run(replay_run, log, row.run_id, agents) for row in rows]
    problems = [str(problem) for problem in again if problem]
    for problem in problems:
        put(styled(f"✗ {problem}", "red"))
    same = len(rows) - len(problems)
    put(styled("✓ ", "bold green") + styled(f"{same} of {len(rows)} runs executed again: the same bytes"))
    return [*map(str, findings), *problems]


def _tell_commands(path: Path) -> None:
    with Log.open(path, readonly=True) as log:
        middle = log.head(THREAD) // 2
    console.print()
    console.print(styled(f"All files are in {path.parent}\nGo on with:"), soft_wrap=True)
    for command in (
        "runs",
        f"log {THREAD}",
        f"show {payments.THREAD}",
        f"state {THREAD} /ledger --at {middle}",
        "verify",
        "stats",
    ):
        console.print(styled(f"  threadlog {command} --db {path}", "bold"), soft_wrap=True)


def _results(
    path: Path, filed: RunResult, delegated: Delegated, crashed: Crashed, problems: list[str]
) -> dict[str, Any]:
    with Log.open(path, readonly=True) as log:
        state = log.state(THREAD)
    expenses = {
        "thread_id": filed.thread_id,
        "run_id": filed.run_id,
        "status": filed.status,
        "termination": filed.termination.model_dump(exclude_none=True),
        "output": filed.output,
        "usage": filed.usage.model_dump(),
        "version": filed.version,
        "state": state,
    }
    return {
        "db": str(path),
        "expenses": expenses,
        "delegation": delegated.as_json(),
        "crash": crashed.as_json(),
        "problems": problems,
    }
