"""The third act: a process is killed in the midst of a payment, and nothing is paid twice."""

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
from ..standing import executed_by
from ..terminal import compact, styled, when
from .payments import BILLS, PAYMENTS, RECEIPTS, RUN, SAMPLE, THREAD, cashier, listed
from .telling import follow, heading, put, say

PROGRAM = (sys.executable, "-m", f"{__package__}.payments")
PERSON = "the demo's user"


class Crashed(NamedTuple):
    """What became of the payments."""

    exit_status: int
    """Of the process that was killed: minus the number of the signal."""

    evidence: Orphan
    decisions: list[Decision]
    result: RunResult
    payments: list[str]
    """Who has been paid, in order."""

    receipts: list[str]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "exit_status": self.exit_status,
            "evidence": self.evidence.model_dump(),
            "decisions": [{"call": one.target, "result": one.result} for one in self.decisions],
            "run_id": self.result.run_id,
            "status": self.result.status,
            "termination": self.result.termination.model_dump(exclude_none=True),
            "output": self.result.output,
            "payments": self.payments,
            "receipts": self.receipts,
        }


def survive_a_crash(path: Path, folder: Path) -> Crashed:
    """Have a process killed while it pays bills, recover its run, and let it go on to its end."""
    heading(f"3. Killed in the midst of a side effect, on thread {THREAD}")
    say(
        "A process of its own pays three bills. When the second payment is listed, and its receipt is not, "
        "it is killed: by SIGKILL, so it can neither tidy up nor say what it has done."
    )
    (folder / BILLS).write_text(SAMPLE)
    status = subprocess.run([*PROGRAM, str(path), str(folder)], check=False).returncode
    if status != -signal.SIGKILL:
        raise click.ClickException(f"the process that was to be killed has ended with exit status {status}")
    say(f"the process is dead: exit status {status}", "red", indent=2)
    evidence = _look(path)
    decisions, result = anyio.run(_go_on, path, folder)
    _tell_lists(folder)
    payments = listed(folder / PAYMENTS)
    is_once = len(payments) == len(set(payments))
    say(
        "✓ nothing is paid twice" if is_once else "✗ something is paid twice",
        "bold green" if is_once else "red",
    )
    return Crashed(status, evidence, decisions, result, payments, listed(folder / RECEIPTS))


def _look(path: Path) -> Orphan:
    """What the log knows of the run; nothing is written."""
    with Log.open(path, readonly=True) as log:
        (found,) = (each.evidence for each in orphans(log) if each.row.run_id == RUN)
        state = log.state(THREAD)
    say("The log is opened again. It knows how far the run has come, and what it cannot know:")
    say(f"executed by   {executed_by(found.executor)}, which holds no lock any more", indent=2)
    say(f"last version  {found.version}, at {when(found.at)} UTC", indent=2)
    lost = {call.call_id: call.fate.replace("_", " ") for call in found.calls}
    for call in calls(state):
        fate = lost.get(call.call_id, "done")
        put(styled(f"  {fate:<12}  {_in_words(call)}", "red" if fate == "unknown" else "yellow"))
    return found


async def _go_on(path: Path, folder: Path) -> tuple[list[Decision], RunResult]:
    """Recover the run: a person decides what became of its unknown calls."""
    async with Runtime.open(path, agents=[cashier(folder)], orphans="ask") as runtime:
        questions = runtime.pending(RUN)
        say("The run waits, and asks a person, who looks into the lists:")
        decisions = [_decided(call, folder) for call in questions]
        run = await runtime.decide(RUN, decisions)
        say("The run goes on, in its next epoch:")
        return decisions, await follow(run)


def _decided(call: ToolCallState, folder: Path) -> Decision:
    """What a person says who has looked into the lists."""
    asked = call.suspension.message if call.suspension else ""
    say(f"? {asked}", "bold cyan", indent=2)
    _tell_lists(folder)
    arguments: Any = call.arguments
    merchant = arguments["merchant"]
    if merchant not in listed(folder / PAYMENTS):
        say(f"{merchant} has no payment: call it again", "cyan", indent=4)
        return Decision.approve(call.call_id, by=PERSON)
    result = {"paid": merchant, "receipt": merchant in listed(folder / RECEIPTS)}
    say(f"{merchant} has its payment: it happened, with the result {compact(result)}", "cyan", indent=4)
    return Decision.approve(call.call_id, result, by=PERSON)


def _tell_lists(folder: Path) -> None:
    for name in (PAYMENTS, RECEIPTS):
        say(f"{name:<12}  {', '.join(listed(folder / name)) or 'nothing'}", indent=4)


def _in_words(call: ToolCallState) -> str:
    return f"{call.name}({compact(call.arguments)})"
