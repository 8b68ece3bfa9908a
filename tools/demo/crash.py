"""The crash: a process is killed in the middle of a payment. What does the log know?"""

import signal
import subprocess
import sys
from pathlib import Path

from ...engine.runs import find_orphans
from ...reducers.tool_call import calls
from ...store.changeset import Orphan
from ...store.errors import LogUnavailable
from ...store.log import Log
from ..terminal import styled_text
from ..wording import call_text
from .narration import heading, print_line, say
from .payments import DUE, RUN, THREAD, write_bills

PROGRAM = (sys.executable, "-m", f"{__package__}.payments_main")

INTRODUCTION = (
    f"An agent pays three bills: {', '.join(DUE)}. Its process is killed in the "
    "middle of the second payment. Which bills are paid?"
)

WORDS = {
    None: ("finished", "green"),
    "unknown": ("uncertain", "bold red"),
    "not_started": ("never started", "yellow"),
}
"""A word and a color for each fate of a call; None is a call with a result."""


def crash(path: Path, folder: Path) -> Orphan:
    """Let a process die during the second payment. Return what the log knows about its run."""
    say(INTRODUCTION)
    say("(No key, no network. The model and the person, Ann, are scripted.)", "dim")
    heading("1. The crash")
    say(
        "A payment has two halves: the bank books it (bank.csv), then the receipt is filed (receipts.csv). "
        "Between the two halves of the second payment, the process gets SIGKILL."
    )
    _run_until_killed(path, folder)
    return _inspect(path)


def _run_until_killed(path: Path, folder: Path) -> None:
    write_bills(folder)
    command = [*PROGRAM, str(path), str(folder)]
    process = subprocess.run(command, check=False, stderr=subprocess.PIPE, encoding="utf-8")
    if process.returncode != -signal.SIGKILL:
        *_, problem = process.stderr.splitlines() or [f"exit status {process.returncode}"]
        raise LogUnavailable(f"the process failed before it could be killed: {problem}")


def _inspect(path: Path) -> Orphan:
    """Print what the log knows about the run. Nothing is written."""
    with Log.open(path, readonly=True) as log:
        (evidence,) = (each.evidence for each in find_orphans(log) if each.row.run_id == RUN)
        state = log.state(THREAD)
    if executor := evidence.executor:
        say(f"Process {executor.pid} on {executor.host} is dead.", "red", indent=2)
    heading("2. What the log says")
    fates = {call.call_id: call.fate for call in evidence.calls}
    for call in calls(state):
        word, style = WORDS[fates.get(call.call_id)]
        print_line(styled_text(f"  {word:<15}{call_text(call)}", style))
    say(
        "The log has every call before it starts, and every result as soon as it arrives. It cannot know "
        "whether the bank booked the uncertain payment before the crash."
    )
    return evidence
