"""Act 1: an agent files expenses, a person decides, and the log accounts for all of it."""

from functools import partial
from pathlib import Path

import anyio
from rich.panel import Panel

from ...engine import Decision, RunResult, Runtime
from ...reducers.reduce import Reducers
from ...store.log import Log
from ..check import print_findings, print_replayed, replay_runs, replay_thread
from ..look import print_diff, print_history, readable_diff
from ..terminal import compact_json, console, styled_text
from .bookkeeper import NEEDS_DAYS, bookkeeper, ledger
from .narration import follow, heading, print_decision, print_line

THREAD = "expenses"


def file_expenses(path: Path, source: Path, report: Path) -> RunResult:
    """Run the bookkeeper on the log at `path` to its end, then show what the log has recorded."""
    heading(f"1. An agent files expenses: the run, on thread {THREAD}")
    result = anyio.run(_run, path, source, report)
    with Log.open(path, readonly=True) as log:
        _show_log(log)
        _show_audit(log, result.run_id, source, report)
    return result


async def _run(path: Path, source: Path, report: Path) -> RunResult:
    async with Runtime.open(path, agents=[bookkeeper(source, report)]) as runtime:
        run = await runtime.start("bookkeeper", f"Please file the expenses in {source.name}.", thread=THREAD)
        result = await follow(run)
        for answer in (partial(Decision.deny, reason=NEEDS_DAYS), Decision.approve):
            for call in runtime.pending(result.run_id):
                decision = answer(call.call_id, by="the demo's user")
                print_decision(call, decision)
                run = await runtime.decide(result.run_id, [decision]) or run
                result = await follow(run)
        return result


def _show_log(log: Log) -> None:
    head = log.head(THREAD)
    middle = head // 2
    heading("the log: all of it, and nothing else")
    print_history(list(log.read(THREAD)))
    heading(f"the state between version {middle} and version {head}")
    old, new = (_public(log.state(THREAD, version)) for version in (middle, head))
    for version, state in ((middle, old), (head, new)):
        console.print(Panel(styled_text(compact_json(state)), title=f"version {version}", title_align="left"))
    print_diff(old, readable_diff(old, new))


def _show_audit(log: Log, run_id: str, source: Path, report: Path) -> None:
    heading("the audit: is the record intact, and do the reducers still agree?")
    print_findings(log.verify(), log.heads())
    print_replayed([replay_thread(log, THREAD, Reducers([ledger]))])
    problems = replay_runs(log, [run_id], [bookkeeper(source, report)])
    for problem in problems:
        print_line(styled_text(f"✗ {problem}", "red"))
    if not problems:
        same = styled_text("✓ executed again on what was recorded: ", "bold green")
        print_line(same + styled_text("the same bytes"))


def _public(state: dict[str, object]) -> dict[str, object]:
    """Return the state without threadlog's own part."""
    return {key: value for key, value in state.items() if not key.startswith("__")}
