"""The agent of act 3: a cashier pays bills. A payment has two halves, and a process can die between them."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...engine import Agent, ModelRequest, ScriptedModel, ToolCall, Turn, tool
from ...store.document import loads
from .expenses import Expense, read_csv

THREAD, RUN = "payments", "pay-the-bills"
BILLS, PAYMENTS, RECEIPTS = "bills.csv", "payments.csv", "receipts.csv"
SAMPLE = """date,merchant,amount
2026-11-02,Hotel Kamogawa,424.00
2026-11-02,Taxi MK,18.60
2026-11-03,Museum of Kyoto,9.50
"""

Halfway = Callable[[str], None]
"""Called with the merchant between the two halves of a payment."""


def cashier(folder: Path, halfway: Halfway = lambda merchant: None) -> Agent:
    """Return the agent that pays the bills of a folder, one after the other."""

    @tool
    def read_bills() -> list[Expense]:
        """Read the bills to pay."""
        return list(read_csv(folder / BILLS))

    @tool
    def pay(merchant: str, cents: int) -> dict[str, str | bool]:
        """Pay a bill: first the payment is listed, then its receipt. Do not repeat it.

        Args:
            merchant: who gets the money.
            cents: how much.
        """
        _append(folder / PAYMENTS, merchant, cents)
        halfway(merchant)
        _append(folder / RECEIPTS, merchant, cents)
        return {"paid": merchant, "receipt": True}

    return Agent(
        "cashier",
        ScriptedModel(*[_next] * 9, name="scripted-cashier"),
        instructions="Pay every bill once.",
        tools=[read_bills, pay],
        tool_execution="sequential",
    )


def _next(request: ModelRequest) -> Turn:
    answers: list[Any] = [
        loads(message.content.encode())
        for message in request.messages
        # Of a call that was not started the model is told in words, not in JSON.
        if message.role == "tool" and message.content[:2] in ("[{", '{"')
    ]
    if not answers:
        return Turn(tool_calls=[ToolCall("read_bills", {})])
    bills, *done = answers
    paid = {answer["paid"]: answer["receipt"] for answer in done if "paid" in answer}
    if due := [bill for bill in bills if bill["merchant"] not in paid]:
        return _pay(due)
    missing = [merchant for merchant, receipt in paid.items() if not receipt]
    return Turn(text=f"All {len(paid)} are paid; without a receipt: {', '.join(missing) or 'none'}.")


def _pay(due: list[Expense]) -> Turn:
    names = ", ".join(bill["merchant"] for bill in due)
    calls = [ToolCall("pay", {"merchant": bill["merchant"], "cents": bill["cents"]}) for bill in due]
    return Turn(text=f"{len(due)} to be paid: {names}.", tool_calls=calls)


def _append(path: Path, merchant: str, cents: int) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([merchant, cents])
        file.flush()
        os.fsync(file.fileno())


def read_merchants(path: Path) -> list[str]:
    """Return the merchants in a list of payments or receipts, in order; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [merchant for merchant, _ in csv.reader(file)]
