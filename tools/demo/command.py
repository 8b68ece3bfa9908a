"""`threadlog demo`: an agent run that is nothing but its log, from the first step to its replay."""

import csv
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import anyio
import click
from rich.panel import Panel

from ...engine import Decision, Run, Runtime
from ...engine.events import AssistantTurn, AttemptFailed, Event, RunResult, ToolFinished
from ...engine.replay import replay_run
from ...reducers.reduce import Reducers
from ...reducers.tool_call import ToolCallState
from ...store.log import Log
from ..audit import print_findings, print_replayed, replay_thread
from ..browse import print_diff, print_history, readable_diff
from ..terminal import compact, console, print_json, styled
from .expenses import SAMPLE, SAY_WHEN, bookkeeper, expenses, ledger

THREAD = "expenses"


@click.command()
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Your expenses, instead of a sample.",
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the log goes (default: new)."
)
@click.option("--json", "as_json", is_flag=True, help="Print only the result, as JSON.")
@click.pass_context
def demo(context: click.Context, source: Path | None, folder: Path | None, as_json: bool) -> None:
    """Run an agent that files expenses, then show, verify and replay its log.

    No key and no network: the model is scripted, the tools and the files are real. Give your own CSV
    (columns date, merchant, amount) with --input.
    """
    if source:
        _check(source)
    folder = folder or Path(tempfile.mkdtemp(prefix="threadlog-demo-"))
    _prepare(folder, ["demo.db", "report.md", *([] if source else ["expenses.csv"])])
    if source is None:
        source = folder / "expenses.csv"
        source.write_text(SAMPLE)
    quiet = as_json or bool(context.obj)
    path = folder / "demo.db"
    result = anyio.run(_run, path, source, folder / "report.md", quiet)
    with Log.open(path, readonly=True) as log:
        if quiet:
            _print_result(log, result)
        else:
            _look(log, source, folder)
    context.exit(0 if result.termination.type == "natural_end" else 1)


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


async def _run(path: Path, source: Path, report: Path, quiet: bool) -> RunResult:
    agent = bookkeeper(source, report)
    async with Runtime.open(path, agents=[agent]) as runtime:
        run = await runtime.start("bookkeeper", f"Please file the expenses in {source.name}.", thread=THREAD)
        if not quiet:
            console.rule(styled(f"the run: agent {agent.name}, thread {THREAD}", "bold"), align="left")
        result = await _follow(run, quiet)
        for answer in (partial(Decision.deny, reason=SAY_WHEN), Decision.approve):
            for call in runtime.pending(result.run_id):
                decision = answer(call.call_id, by="the demo's user")
                if not quiet:
                    _tell_decision(call, decision)
                run = await runtime.decide(result.run_id, [decision]) or run
                result = await _follow(run, quiet)
        return result


async def _follow(run: Run, quiet: bool) -> RunResult:
    async for event in run:
        if not quiet:
            _tell(event)
    return await run.result()


def _tell_decision(call: ToolCallState, decision: Decision) -> None:
    verdict = "yes" if decision.approved else f"no: {decision.reason}"
    console.print(styled(f"  ? may {call.name} be called with {compact(call.arguments, 60)}", "bold cyan"))
    console.print(styled(f"    {verdict}", "cyan"))


def _tell(event: Event) -> None:
    match event:
        case AssistantTurn(message):
            if message.content:
                console.print(styled(f"  {message.content}", "green"))
            for call in message.tool_calls:
                console.print(styled(f"  → {call.name}({compact(call.arguments, 70)})", "bold green"))
        case AttemptFailed(model, problem):
            console.print(styled(f"  {model} failed ({problem}), it is asked again", "red"))
        case ToolFinished(outcome):
            style = "yellow" if outcome.outcome == "succeeded" else "red"
            console.print(styled(f"    {outcome.outcome}: {compact(outcome.result, 80)}", style))


def _look(log: Log, source: Path, folder: Path) -> None:
    head = log.head(THREAD)
    middle = head // 2
    console.print()
    console.rule(styled("the log: all of it, and nothing else", "bold"), align="left")
    print_history(list(log.read(THREAD)))
    console.rule(styled(f"the state between version {middle} and version {head}", "bold"), align="left")
    old, new = (_public(log.state(THREAD, version)) for version in (middle, head))
    console.print(Panel(styled(compact(old)), title=f"version {middle}", title_align="left"))
    console.print(Panel(styled(compact(new)), title=f"version {head}", title_align="left"))
    print_diff(old, readable_diff(old, new))
    console.print()
    console.rule(
        styled("the audit: is the record intact, and do the reducers still agree?", "bold"), align="left"
    )
    print_findings(log.verify(), log.heads())
    print_replayed([replay_thread(log, THREAD, Reducers([ledger]))])
    again = anyio.run(replay_run, log, log.runs(THREAD)[0].run_id, [bookkeeper(source, folder / "report.md")])
    same = styled("✓ executed again on what was recorded: ", "bold green") + styled("the same bytes")
    console.print(styled(f"✗ {again}", "red") if again else same)
    console.print()
    console.print(
        styled(f"The log is {log.path}; the report is {folder / 'report.md'}. Go on with:"), soft_wrap=True
    )
    for command in (
        f"log {THREAD}",
        f"show {THREAD}",
        f"state {THREAD} /ledger --at {middle}",
        "verify",
        "stats",
    ):
        console.print(styled(f"  threadlog {command} --db {log.path}", "bold"), soft_wrap=True)


def _public(state: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in state.items() if not key.startswith("__")}


def _print_result(log: Log, result: RunResult) -> None:
    print_json(
        {
            "db": str(log.path),
            "thread_id": result.thread_id,
            "run_id": result.run_id,
            "status": result.status,
            "termination": result.termination.model_dump(exclude_none=True),
            "output": result.output,
            "usage": result.usage.model_dump(),
            "version": result.version,
            "findings": [str(finding) for finding in log.verify()],
            "state": log.state(THREAD),
        }
    )
