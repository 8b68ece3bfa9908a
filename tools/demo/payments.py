"""The third act's job: a cashier pays bills. To pay has two halves, and a process can die between them.

    python -m threadlog.tools.demo.payments LOG FOLDER

is the process that does: it kills itself, with SIGKILL, between the halves of the second payment.
"""

import csv
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from ...engine import Agent, ModelRequest, Runtime, ScriptedModel, ToolCall, Turn, tool
from ...store.document import loads
from .expenses import expenses

THREAD, RUN = "payments", "pay-the-bills"
BILLS, PAYMENTS, RECEIPTS = "bills.csv", "payments.csv", "receipts.csv"
SAMPLE = """date,merchant,amount
2026-11-02,Hotel Kamogawa,424.00
2026-11-02,Taxi MK,18.60
2026-11-03,Museum of Kyoto,9.50
"""
DEADLY = "Taxi MK"
"""Whose payment the process does not survive."""

Halfway = Callable[[str], None]
"""Called between the halves of a payment, with whom it is for."""


def cashier(folder: Path, halfway: Halfway = lambda merchant: None) -> Agent:
    """The agent that pays the bills of a folder, one after the other."""

    @tool
    def read_bills() -> list[dict[str, Any]]:
        """Read the bills that are to be paid."""
        return list(expenses(folder / BILLS))

    @tool
    def pay(merchant: str, cents: int) -> dict[str, Any]:
        """Pay a bill: first the payment is listed, then its receipt. Not to be done twice.

        Args:
            merchant: who gets the money.
            cents: how much.
        """
        _write(folder / PAYMENTS, merchant, cents)
        halfway(merchant)
        _write(folder / RECEIPTS, merchant, cents)
        return {"paid": merchant, "receipt": True}

    return Agent(
        "cashier",
        ScriptedModel(*[_next] * 9, name="scripted-cashier"),
        instructions="Pay every bill once.",
        tools=[read_bills, pay],
        tool_execution="sequential",
    )


def _next(request: ModelRequest) -> Turn:
    answers = [
        loads(message.content.encode())
        for message in request.messages
        # A call that was not started is told in words.
        if message.role == "tool" and message.content[:2] in ("[{", '{"')
    ]
    if not answers:
        return Turn(tool_calls=[ToolCall("read_bills", {})])
    bills, *done = answers
    paid = {answer["paid"]: answer["receipt"] for answer in done if "paid" in answer}
    due = [bill for bill in bills if bill["merchant"] not in paid]
    if due:
        return Turn(
            text=f"{len(due)} to be paid: {', '.join(bill['merchant'] for bill in due)}.",
            tool_calls=[
                ToolCall("pay", {"merchant": bill["merchant"], "cents": bill["cents"]}) for bill in due
            ],
        )
    missing = [merchant for merchant, receipt in paid.items() if not receipt]
    return Turn(text=f"All {len(paid)} are paid; without a receipt: {', '.join(missing) or 'none'}.")


def _write(path: Path, merchant: str, cents: int) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([merchant, cents])
        file.flush()
        os.fsync(file.fileno())


def listed(path: Path) -> list[str]:
    """Whom a list of payments or receipts names, in order; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [merchant for merchant, _ in csv.reader(file)]


async def _work(path: str, folder: Path) -> None:
    def die(merchant: str) -> None:
        if merchant == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Runtime.open(path, agents=[cashier(folder, die)]) as runtime:
        run = await runtime.start("cashier", "Please pay the bills.", thread=THREAD, id=RUN)
        await run.result()


if __name__ == "__main__":
    anyio.run(_work, sys.argv[1], Path(sys.argv[2]))
