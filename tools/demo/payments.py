"""The demo's agent: a cashier that pays bills and reports to an accountant. Its model is scripted.

A payment has two halves. The bank books it, then the receipt is filed. A process can die between them.
"""

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from ...engine import Agent, ModelRequest, ScriptedModel, ToolCall, Turn, tool
from ...store.document import loads

THREAD, RUN = "payments", "pay-the-bills"
BILLS, BANK, RECEIPTS, REPORT = "bills.csv", "bank.csv", "receipts.csv", "report.txt"
DUE = {"Hotel Kamogawa": 42400, "Taxi MK": 1860, "Museum of Kyoto": 950}
"""The bills to pay, in cents."""

Halfway = Callable[[str], None]
"""Called with the name of the bill between the two halves of its payment."""


class Bill(TypedDict):
    """A bill to pay."""

    bill: str
    cents: int


def cashier(folder: Path, halfway: Halfway = lambda bill: None) -> Agent:
    """Return the agent that pays the bills of a folder."""

    @tool
    def read_bills() -> list[Bill]:
        """Read the bills to pay."""
        with (folder / BILLS).open(newline="", encoding="utf-8") as file:
            return [{"bill": row["bill"], "cents": int(row["cents"])} for row in csv.DictReader(file)]

    @tool
    def pay(bill: str, cents: int) -> dict[str, str | bool]:
        """Pay a bill. Paying it again would book it twice.

        Args:
            bill: the name of the bill.
            cents: the amount.
        """
        _append(folder / BANK, bill, cents)
        halfway(bill)
        _append(folder / RECEIPTS, bill, cents)
        return {"paid": bill, "receipt": True}

    @tool(needs_approval=True)
    def send_report(text: str) -> dict[str, bool]:
        """Send a report to the accountant.

        Args:
            text: the report.
        """
        (folder / REPORT).write_text(text, encoding="utf-8")
        return {"sent": True}

    return Agent(
        "cashier",
        ScriptedModel(*[_answer] * 9, name="scripted-cashier"),
        instructions="Pay every bill once, then report to the accountant.",
        tools=[read_bills, pay, send_report],
        tool_execution="sequential",
    )


def _answer(request: ModelRequest) -> Turn:
    """Choose the next step from the conversation, as a model would."""
    results = list(_results(request))
    if not results:
        return Turn(tool_calls=[ToolCall("read_bills", {})])
    bills, *others = results
    paid = {result["paid"]: result["receipt"] for result in others if "paid" in result}
    if due := [bill for bill in bills if bill["bill"] not in paid]:
        return _pay(due)
    if any("sent" in result for result in others):
        return Turn(text="All bills are paid, and the accountant knows which receipt is missing.")
    return _report(paid, [result["error"] for result in others if "error" in result])


def _pay(due: list[Bill]) -> Turn:
    text = "1 bill is left to pay." if len(due) == 1 else f"{len(due)} bills to pay."
    calls = [ToolCall("pay", {"bill": bill["bill"], "cents": bill["cents"]}) for bill in due]
    return Turn(text=text, tool_calls=calls)


def _report(paid: dict[str, bool], denials: list[str]) -> Turn:
    if not denials:
        report = ToolCall("send_report", {"text": f"{len(paid)} bills paid."})
        return Turn(text="All bills are paid. I report to the accountant.", tool_calls=[report])
    missing = ", ".join(bill for bill, has_receipt in paid.items() if not has_receipt)
    report = ToolCall("send_report", {"text": f"{len(paid)} bills paid. No receipt: {missing}."})
    return Turn(text="Denied, so I correct the report.", tool_calls=[report])


def _results(request: ModelRequest) -> Iterator[Any]:
    """Yield the results of the tool calls. A call that never started has a note instead: skip it."""
    for message in request.messages:
        if message.role == "tool" and message.content.startswith(("[{", "{")):
            yield loads(message.content.encode())


def _append(path: Path, bill: str, cents: int) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([bill, cents])
        file.flush()
        os.fsync(file.fileno())


def write_bills(folder: Path) -> None:
    """Write the bills to pay."""
    lines = ["bill,cents", *(f"{bill},{cents}" for bill, cents in DUE.items()), ""]
    (folder / BILLS).write_text("\n".join(lines), encoding="utf-8")


def read_names(path: Path) -> list[str]:
    """Return the bills in a file of payments or receipts, in order; none if the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [bill for bill, _ in csv.reader(file)]
