"""After the crash: a person decides about the uncertain payment, the run continues, nothing is paid twice."""

from pathlib import Path
from typing import NamedTuple

import anyio

from ...engine import Decision, RunResult, Runtime
from ...reducers.tool_call import ToolCallState
from .narration import follow, heading, say
from .payments import BANK, DUE, RECEIPTS, RUN, cashier, read_names

PERSON = "ann"
CORRECTION = "Say that the receipt of Taxi MK is missing."
"""Why the person denies the first report."""


class Recovered(NamedTuple):
    """The result of the run, and what was paid."""

    result: RunResult
    payments: list[str]
    """The bills that the bank has booked, in order."""

    receipts: list[str]

    @property
    def is_fine(self) -> bool:
        """Whether the run finished, and every bill is paid once."""
        return self.result.termination.type == "natural_end" and self.payments == list(DUE)


def recover(path: Path, folder: Path) -> Recovered:
    """Recover the run of the dead process, and let it finish."""
    result = anyio.run(_recover, path, folder)
    recovered = Recovered(result, read_names(folder / BANK), read_names(folder / RECEIPTS))
    say(f"bank.csv: {', '.join(recovered.payments)}")
    if recovered.is_fine:
        say("✓ Every bill is paid, and nothing is paid twice.", "bold green")
    else:
        say("✗ A bill is not paid, or is paid twice.", "bold red")
    return recovered


async def _recover(path: Path, folder: Path) -> RunResult:
    async with Runtime.open(path, agents=[cashier(folder)], orphans="ask") as runtime:
        heading("3. A person decides about the uncertain call")
        (payment,) = runtime.pending(RUN)
        run = await runtime.decide(RUN, [_decide(payment, folder)])
        heading("4. The run continues, in another process")
        say("Ann's answer is the result of the interrupted call. It does not run again.")
        result = await follow(run)
        for decide in (_deny, _approve):
            (report,) = runtime.pending(RUN)
            run = await runtime.decide(RUN, [decide(report)])
            result = await follow(run)
        return result


def _decide(payment: ToolCallState, folder: Path) -> Decision:
    """Answer as a person does who has looked at the bank's list."""
    arguments = payment.arguments if isinstance(payment.arguments, dict) else {}
    bill = str(arguments["bill"])
    paid, receipts = read_names(folder / BANK), read_names(folder / RECEIPTS)
    say("threadlog does not guess. It asks a person. Ann looks at the files:")
    say(f"bank.csv: {', '.join(paid)}    receipts.csv: {', '.join(receipts)}", indent=2)
    if bill not in paid:
        say(f"? Was {bill} paid?  Ann: No. Pay it.", "bold cyan")
        return Decision.approve(payment.call_id, by=PERSON)
    answer = {"paid": bill, "receipt": bill in receipts}
    say(f"? Was {bill} paid?  Ann: Yes, {'with' if answer['receipt'] else 'without'} a receipt.", "bold cyan")
    return Decision.approve(payment.call_id, answer, by=PERSON)


def _deny(report: ToolCallState) -> Decision:
    say(f"? May {report.name} run?  Ann: No. {CORRECTION}", "bold cyan")
    return Decision.deny(report.call_id, CORRECTION, by=PERSON)


def _approve(report: ToolCallState) -> Decision:
    say(f"? May {report.name} run?  Ann: Yes.", "bold cyan")
    return Decision.approve(report.call_id, by=PERSON)
