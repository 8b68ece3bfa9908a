"""Act 3: a process is killed during a payment, and nothing is paid twice."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import click

from ...engine import Decision, RunResult, Runtime
from ...engine.runs import orphans
from ...reducers.tool_call import ToolCallState, calls
from ...store.changeset import Orphan
from ...store.log import Log
from ..run_view import result_json
from ..terminal import compact_json, styled_text, utc_time
from ..wording import call_text, process_text
from .narration import follow, heading, print_line, say
from .payments import BILLS, PAYMENTS, RECEIPTS, RUN, SAMPLE, THREAD, cashier, read_merchants

PROGRAM = (sys.executable, "-m", f"{__package__}.payments_main")
PERSON = "the demo's user"


class Crashed(NamedTuple):
    """What became of the payments."""

    exit_status: int
    """Of the killed process: minus the number of the signal."""

    evidence: Orphan
    decisions: list[Decision]
    result: RunResult
    payments: list[str]
    """The merchants that were paid, in order."""

    receipts: list[str]

    def as_json(self) -> dict[str, object]:
        return {
            "exit_status": self.exit_status,
            "evidence": self.evidence.model_dump(),
            "decisions": [{"call": each.target, "result": each.result} for each in self.decisions],
            **result_json(self.result),
            "payments": self.payments,
            "receipts": self.receipts,
        }


def survive_a_crash(path: Path, folder: Path) -> Crashed:
    """Let a process be killed while it pays bills, then recover its run and let it finish."""
    heading(f"3. A process is killed during a payment, on thread {THREAD}")
    exit_status = _crash(path, folder)
    evidence = _inspect(path)
    decisions, result = anyio.run(_recover, path, folder)
    _print_lists(folder)
    payments = read_merchants(folder / PAYMENTS)
    if len(payments) == len(set(payments)):
        say("✓ nothing is paid twice", "bold green")
    else:
        say("✗ something is paid twice", "bold red")
    return Crashed(exit_status, evidence, decisions, result, payments, read_merchants(folder / RECEIPTS))


def _crash(path: Path, folder: Path) -> int:
    say(
        "Another process pays three bills. It is killed with SIGKILL when the second payment is listed and "
        "its receipt is not: it can neither clean up nor report what it has done."
    )
    (folder / BILLS).write_text(SAMPLE)
    exit_status = subprocess.run([*PROGRAM, str(path), str(folder)], check=False).returncode
    if exit_status != -signal.SIGKILL:
        raise click.ClickException(
            f"the process should have been killed, but its exit status is {exit_status}"
        )
    say(f"the process is dead: exit status {exit_status}", "red", indent=2)
    return exit_status


def _inspect(path: Path) -> Orphan:
    """Print what the log knows about the run. Nothing is written."""
    with Log.open(path, readonly=True) as log:
        (found,) = (each.evidence for each in orphans(log) if each.row.run_id == RUN)
        state = log.state(THREAD)
    say("The log is opened again. It knows how far the run came, and what it cannot know:")
    say(f"executed by   {process_text(found.executor)}, whose lock is released", indent=2)
    say(f"last version  {found.version}, at {utc_time(found.at)} UTC", indent=2)
    fates = {call.call_id: call.fate.replace("_", " ") for call in found.calls}
    for call in calls(state):
        fate = fates.get(call.call_id, "done")
        print_line(styled_text(f"  {fate:<12}  {call_text(call)}", "red" if fate == "unknown" else "yellow"))
    return found


async def _recover(path: Path, folder: Path) -> tuple[list[Decision], RunResult]:
    """Recover the run. A person decides what became of the calls whose effect is unknown."""
    async with Runtime.open(path, agents=[cashier(folder)], orphans="ask") as runtime:
        questions = runtime.pending(RUN)
        say("The run waits and asks a person, who looks at the lists:")
        decisions = [_decide(call, folder) for call in questions]
        run = await runtime.decide(RUN, decisions)
        say("The run resumes in its next epoch:")
        return decisions, await follow(run)


def _decide(call: ToolCallState, folder: Path) -> Decision:
    """Answer a question as a person does who has looked at the lists."""
    say(f"? {call.suspension.message if call.suspension else ''}", "bold cyan", indent=2)
    _print_lists(folder)
    arguments: Any = call.arguments
    merchant = arguments["merchant"]
    if merchant not in read_merchants(folder / PAYMENTS):
        say(f"{merchant} has no payment: call it again", "cyan", indent=4)
        return Decision.approve(call.call_id, by=PERSON)
    result = {"paid": merchant, "receipt": merchant in read_merchants(folder / RECEIPTS)}
    say(f"{merchant} has a payment: it happened, with the result {compact_json(result)}", "cyan", indent=4)
    return Decision.approve(call.call_id, result, by=PERSON)


def _print_lists(folder: Path) -> None:
    for name in (PAYMENTS, RECEIPTS):
        say(f"{name:<12}  {', '.join(read_merchants(folder / name)) or 'nothing'}", indent=4)
