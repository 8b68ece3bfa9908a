"""The command: the crash, the recovery, what the log says about both, and the commands to try next."""

import csv
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import click

from ...store.changeset import Orphan
from ..next_steps import command_line
from ..run_view import result_json
from ..terminal import console, print_json, styled_text
from . import further_scenes, payments
from .audit import check, print_decisions
from .crash import crash
from .expenses import read_csv
from .further_scenes import play_further_scenes
from .narration import heading, say, silence
from .payments import RUN, THREAD, cashier
from .recovery import Recovered, recover

FOLDER = "threadlog-demo"
LOG, AGENT = "demo.db", "agent.py"
FILES = (LOG, AGENT, payments.BILLS, payments.BANK, payments.RECEIPTS, payments.REPORT)

AGENT_SOURCE = f'''"""The agent of the demo, for `threadlog replay --level run --agents`."""

from pathlib import Path

from {__package__}.payments import cashier

agent = cashier(Path(__file__).parent)
'''


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where to write the files. Default: ./{FOLDER}, or with a number if that exists.",
)
@click.option(
    "--verbose", is_flag=True, help="Also show an agent that files expenses, and one that delegates."
)
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="The expenses for --verbose, with the columns date, merchant, amount. Default: a sample.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the results, as JSON.")
@click.pass_context
def demo(
    context: click.Context, folder: Path | None, verbose: bool, source: Path | None, as_json: bool
) -> None:
    """Kill an agent in the middle of a payment, and recover its run.

    Needs no key and no network. The model is scripted; the processes, the files and the kill are real.
    """
    if source and not verbose:
        raise click.UsageError("--input needs --verbose")
    if source:
        _refuse_unreadable(source)
    folder = _make_folder(folder, (*FILES, *(further_scenes.FILES if verbose else ())))
    is_quiet = as_json or bool(context.obj)
    with silence(is_quiet):
        paid = _pay(folder)
        further = play_further_scenes(folder, source) if verbose else None
        _print_next_commands(folder, is_verbose=verbose)
    if is_quiet:
        print_json(paid.as_json() | ({"further": further.as_json()} if further else {}))
    context.exit(0 if paid.is_fine and (further is None or further.is_fine) else 1)


class Paid(NamedTuple):
    """The outcome of the interrupted run."""

    db: Path
    evidence: Orphan
    recovered: Recovered
    problems: list[str]
    """What verify and replay found."""

    @property
    def is_fine(self) -> bool:
        return self.recovered.is_fine and not self.problems

    def as_json(self) -> dict[str, object]:
        return {
            "db": str(self.db),
            "evidence": self.evidence.model_dump(),
            **result_json(self.recovered.result),
            "payments": self.recovered.payments,
            "receipts": self.recovered.receipts,
            "problems": self.problems,
        }


def _pay(folder: Path) -> Paid:
    (folder / AGENT).write_text(AGENT_SOURCE, encoding="utf-8")
    db = folder / LOG
    evidence = crash(db, folder)
    recovered = recover(db, folder)
    heading("5. The log answers questions later")
    print_decisions(db, RUN)
    return Paid(db, evidence, recovered, check(db, [cashier(folder)]))


def _refuse_unreadable(source: Path) -> None:
    try:
        list(read_csv(source))
    except (OSError, ValueError, csv.Error) as err:
        raise click.UsageError(f"the expenses cannot be read: {err}") from err


def _make_folder(folder: Path | None, files: Iterable[str]) -> Path:
    """Create the folder, or a new one in the current folder. Existing files are never overwritten."""
    folder = folder or next(path for path in _new_folders() if not path.exists())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        problem = f"the folder {str(folder)!r} cannot be created: {err.strerror}"
        raise click.UsageError(f"{problem}; choose another --folder") from err
    for name in files:
        if (folder / name).exists():
            raise click.UsageError(f"{str(folder / name)!r} already exists: choose another --folder")
    return folder


def _new_folders() -> Iterator[Path]:
    yield Path(FOLDER)
    yield from (Path(f"{FOLDER}-{number}") for number in count(2))


def _print_next_commands(folder: Path, *, is_verbose: bool) -> None:
    db = str(folder / LOG)
    console.print()
    say(f"Everything is in {folder}/. Try:", "bold")
    commands = [
        ("log", THREAD, "--db", db),
        ("follow", RUN, "--db", db),
        ("verify", "--db", db),
        ("replay", "--level", "run", "--agents", str(folder / AGENT), "--db", db),
    ]
    if not is_verbose:
        commands.append(("demo", "--verbose"))
    for words in commands:
        console.print(styled_text(f"  {command_line(*words)}"), soft_wrap=True)
