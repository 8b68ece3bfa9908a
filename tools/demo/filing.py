"""The first act: an agent files expenses, a person decides, and the log answers for all of it."""

from functools import partial
from pathlib import Path

import anyio
from rich.panel import Panel

from ...engine import Decision, RunResult, Runtime
from ...engine.replay import replay_run
from ...reducers.reduce import Reducers
from ...store.log import Log
from ..check.audit import print_findings, print_replayed, replay_thread
from ..look.browse import print_diff, print_history, readable_diff
from ..terminal import compact, console, styled
from .expenses import SAY_WHEN, bookkeeper, ledger
from .telling import follow, heading, put, tell_decision

THREAD = "expenses"


def file_expenses(path: Path, source: Path, report: Path) -> RunResult:
    """Run the bookkeeper on the log at `path`, to its end; then look at what the log has kept."""
    heading(f"1. An agent files expenses: the run, on thread {THREAD}")
    result = anyio.run(_run, path, source, report)
    with Log.open(path, readonly=True) as log:
        _look(log, source, report)
    return result


async def _run(path: Path, source: Path, report: Path) -> RunResult:
    async with Runtime.open(path, agents=[bookkeeper(source, report)]) as runtime:
        run = await runtime.start("bookkeeper", f"Please file the expenses in {source.name}.", thread=THREAD)
        result = await follow(run)
        for answer in (partial(Decision.deny, reason=SAY_WHEN), Decision.approve):
            for call in runtime.pending(result.run_id):
                decision = answer(call.call_id, by="the demo's user")
                tell_decision(call, decision)
                run = await runtime.decide(result.run_id, [decision]) or run
                result = await follow(run)
        return result


def _look(log: Log, source: Path, report: Path) -> None:
    head = log.head(THREAD)
    middle = head // 2
    heading("the log: all of it, and nothing else")
    print_history(list(log.read(THREAD)))
    heading(f"the state between version {middle} and version {head}")
    old, new = (_public(log.state(THREAD, version)) for version in (middle, head))
    console.print(Panel(styled(compact(old)), title=f"version {middle}", title_align="left"))
    console.print(Panel(styled(compact(new)), title=f"version {head}", title_align="left"))
    print_diff(old, readable_diff(old, new))
    heading("the audit: is the record intact, and do the reducers still agree?")
    print_findings(log.verify(), log.heads())
    print_replayed([replay_thread(log, THREAD, Reducers([ledger]))])
    again = anyio.run(replay_run, log, log.runs(THREAD)[0].run_id, [bookkeeper(source, report)])
    same = styled("✓ executed again on what was recorded: ", "bold green") + styled("the same bytes")
    put(styled(f"✗ {again}", "red") if again else same)


def _public(state: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in state.items() if not key.startswith("__")}
