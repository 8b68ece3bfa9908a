"""The demo's job: a bookkeeper reads a CSV of expenses, files each, and writes a report. Real files.

The model is scripted: a function that decides the next step from the conversation, as a model would.
"""

import csv
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...engine import (
    Agent,
    ModelError,
    ModelRequest,
    ScriptedModel,
    ToolCall,
    ToolContext,
    ToolResult,
    Turn,
    tool,
)
from ...reducers import Action, Set, reducer
from ...store.changeset import Usage
from ...store.document import loads

SAMPLE = """date,merchant,amount
2026-10-01,Shinkansen Tokyo-Kyoto,138.50
2026-10-01,Hotel Kamogawa,212.00
2026-10-01,Ramen Sen no Kaze,11.80
2026-10-02,Nishiki Market,23.40
2026-10-02,Kyoto City Bus,7.00
2026-10-02,Hotel Kamogawa,212.00
2026-10-03,Museum of Kyoto,9.50
2026-10-03,Cafe Bibliotic,8.20
2026-10-03,Stationery Kyukyodo,31.00
2026-10-03,Taxi MK,18.60
2026-10-04,Shinkansen Kyoto-Tokyo,138.50
2026-10-04,Pharmacy Sundrug,14.10
"""

CATEGORIES = {
    "travel": ("shinkansen", "bus", "taxi", "train", "flight", "uber", "metro"),
    "lodging": ("hotel", "hostel", "inn", "airbnb"),
    "food": ("ramen", "cafe", "market", "restaurant", "sushi", "bakery", "coffee"),
    "culture": ("museum", "temple", "theatre", "cinema", "gallery"),
    "office": ("stationery", "books", "software", "print"),
}
OTHER = "other"

SAY_WHEN = "The title must say for which days."
"""Why a person refuses the first report."""

BUSY = ModelError("rate_limit", "the model is busy, as models are", retry_after=0.1)
"""What the model says to the first request."""
COLUMNS = ("date", "merchant", "amount")


class Ledger(BaseModel):
    """Totals in cents, by category, and how many lines are filed."""

    filed: int = 0
    totals: dict[str, int] = {}


class Filed(Action):
    """Lines of one category were filed."""

    category: str
    lines: int
    cents: int


@reducer("/ledger")
def ledger(slice: Ledger, action: Filed) -> Ledger:
    totals = slice.totals | {action.category: slice.totals.get(action.category, 0) + action.cents}
    return Ledger(filed=slice.filed + action.lines, totals=totals)


@tool
def read_expenses(path: str) -> ToolResult:
    """Read a CSV of expenses with the columns date, merchant and amount.

    Args:
        path: the CSV file.
    """
    rows = list(expenses(Path(path)))
    return ToolResult(rows, [Set("/source", {"path": path, "lines": len(rows)})])


@tool
def file_expenses(category: str, lines: list[int], path: str) -> ToolResult:
    """File lines of the CSV under a category; the ledger keeps the totals.

    Args:
        category: where they belong.
        lines: their line numbers.
        path: the CSV file.
    """
    cents = sum(row["cents"] for row in expenses(Path(path)) if row["line"] in lines)
    return ToolResult(
        {"category": category, "total": money(cents)},
        [Filed(category=category, lines=len(lines), cents=cents)],
    )


@tool(needs_approval=True)
def write_report(context: ToolContext, path: str, title: str) -> ToolResult:
    """Write the ledger as a Markdown report.

    Args:
        context: what has been filed so far.
        path: the file to write.
        title: its first line.
    """
    totals: dict[str, int] = context.read("/ledger/totals", {})
    lines = [f"# {title}", "", "| category | total |", "| --- | ---: |"]
    lines += [f"| {category} | {money(cents)} |" for category, cents in sorted(totals.items())]
    lines += [f"| **all** | **{money(sum(totals.values()))}** |", ""]
    Path(path).write_text("\n".join(lines))
    return ToolResult({"written": path, "total": money(sum(totals.values()))}, [Set("/report", path)])


def bookkeeper(source: Path, report: Path) -> Agent:
    """The agent for one CSV and one report."""

    def decide(request: ModelRequest) -> Turn:
        words = sum(len(message.content.split()) for message in request.messages)
        turn = _next(request, source, report)
        return Turn(
            text=turn.text,
            tool_calls=turn.tool_calls,
            usage=Usage(input_tokens=words, output_tokens=5 + len(turn.text.split())),
        )

    return Agent(
        "bookkeeper",
        ScriptedModel(BUSY, *[decide] * (len(CATEGORIES) + 5), name="scripted-bookkeeper"),
        instructions="File every expense under one category, then write the report.",
        tools=[read_expenses, file_expenses, write_report],
        reducers=[ledger],
        max_rounds=20,
    )


def _next(request: ModelRequest, source: Path, report: Path) -> Turn:
    answers: list[Any] = [
        loads(message.content.encode()) for message in request.messages if message.role == "tool"
    ]
    if not answers:
        return Turn(tool_calls=[ToolCall("read_expenses", {"path": str(source)})])
    if answers[-1] == {"error": SAY_WHEN}:
        days = sorted(row["date"] for row in answers[0]) or ["never"]
        return _report(report, f"Expenses, {days[0]} to {days[-1]}")
    if "error" in answers[-1]:
        raise RuntimeError(f"the bookkeeper cannot go on: {answers[-1]['error']}")
    if "written" in answers[-1]:
        return Turn(text=f"All filed. {answers[-1]['total']} in all; the report is {report.name}.")
    filed = {answer["category"] for answer in answers[1:]}
    for category, lines in _by_category(answers[0]).items():
        if category not in filed:
            arguments: dict[str, Any] = {"category": category, "lines": lines, "path": str(source)}
            return Turn(
                text=f"These look like {category}.", tool_calls=[ToolCall("file_expenses", arguments)]
            )
    return _report(report, "Expenses")


def _report(report: Path, title: str) -> Turn:
    return Turn(tool_calls=[ToolCall("write_report", {"path": str(report), "title": title})])


def _by_category(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        words = set(re.findall(r"\w+", row["merchant"].lower()))
        category = next((name for name, marks in CATEGORIES.items() if words & set(marks)), OTHER)
        found.setdefault(category, []).append(row["line"])
    return found


def expenses(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a CSV of expenses, amounts in cents.

    Raises:
        ValueError: it is no such CSV; says where.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise ValueError(f"{str(path)!r} has no column {', '.join(missing)}")
        for line, row in enumerate(reader, 2):
            try:
                yield {
                    "line": line,
                    "date": date.fromisoformat(row["date"]).isoformat(),
                    "merchant": row["merchant"].strip(),
                    "cents": _cents(row["amount"]),
                }
            except (TypeError, AttributeError, ValueError, ArithmeticError) as err:
                raise ValueError(f"line {line} of {str(path)!r} is not date,merchant,amount: {row}") from err


def _cents(amount: str) -> int:
    cents = Decimal(amount).scaleb(2)
    if not cents.is_finite() or cents % 1:
        raise ValueError(f"{amount!r} is no sum of money")
    return int(cents)


def money(cents: int) -> str:
    """Cents as a person writes them."""
    return f"{cents / 100:,.2f}"
