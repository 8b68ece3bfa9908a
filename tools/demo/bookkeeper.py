"""The bookkeeper: it reads a CSV of expenses, files each line under a category, and writes a report.

Its tools work on real files. Its model is scripted: a function that chooses the next step from the
conversation.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

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
from .expenses import Expense, money, read_csv

CATEGORIES = {
    "travel": ("shinkansen", "bus", "taxi", "train", "flight", "uber", "metro"),
    "lodging": ("hotel", "hostel", "inn", "airbnb"),
    "food": ("ramen", "cafe", "market", "restaurant", "sushi", "bakery", "coffee"),
    "culture": ("museum", "temple", "theatre", "cinema", "gallery"),
    "office": ("stationery", "books", "software", "print"),
}
OTHER = "other"

NEEDS_DAYS = "The title must say for which days."
"""Why the person denies the first report."""

BUSY = ModelError("rate_limit", "too many requests", retry_after=0.1)
"""The answer to the first request: the model is asked again."""


class Ledger(BaseModel):
    """Totals in cents by category, and the number of filed lines."""

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
    rows = list(read_csv(Path(path)))
    return ToolResult(rows, [Set("/source", {"path": path, "lines": len(rows)})])


@tool
def file_expenses(category: str, lines: list[int], path: str) -> ToolResult:
    """File lines of the CSV under a category, and add them to the ledger.

    Args:
        category: the category.
        lines: their line numbers.
        path: the CSV file.
    """
    cents = sum(row["cents"] for row in read_csv(Path(path)) if row["line"] in lines)
    return ToolResult(
        {"category": category, "total": money(cents)},
        [Filed(category=category, lines=len(lines), cents=cents)],
    )


@tool(needs_approval=True)
def write_report(context: ToolContext, path: str, title: str) -> ToolResult:
    """Write the ledger as a Markdown report.

    Args:
        context: gives access to the ledger.
        path: the file to write.
        title: the heading of the report.
    """
    totals: dict[str, int] = context.read("/ledger/totals", {})
    lines = [f"# {title}", "", "| category | total |", "| --- | ---: |"]
    lines += [f"| {category} | {money(cents)} |" for category, cents in sorted(totals.items())]
    lines += [f"| **all** | **{money(sum(totals.values()))}** |", ""]
    Path(path).write_text("\n".join(lines))
    return ToolResult({"written": path, "total": money(sum(totals.values()))}, [Set("/report", path)])


def bookkeeper(source: Path, report: Path) -> Agent:
    """Return the agent for one CSV and one report."""

    def answer(request: ModelRequest) -> Turn:
        words = sum(len(message.content.split()) for message in request.messages)
        turn = _next(request, source, report)
        return Turn(
            text=turn.text,
            tool_calls=turn.tool_calls,
            usage=Usage(input_tokens=words, output_tokens=5 + len(turn.text.split())),
        )

    return Agent(
        "bookkeeper",
        ScriptedModel(BUSY, *[answer] * (len(CATEGORIES) + 5), name="scripted-bookkeeper"),
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
    if answers[-1] == {"error": NEEDS_DAYS}:
        days = sorted(row["date"] for row in answers[0]) or ["never"]
        return _report(report, f"Expenses, {days[0]} to {days[-1]}")
    if "error" in answers[-1]:
        raise RuntimeError(f"the bookkeeper cannot continue: {answers[-1]['error']}")
    if "written" in answers[-1]:
        return Turn(
            text=f"All expenses are filed: {answers[-1]['total']} in total. The report is {report.name}."
        )
    filed = {answer["category"] for answer in answers[1:]}
    return _file_next(answers[0], filed, source) or _report(report, "Expenses")


def _file_next(rows: list[Expense], filed: set[str], source: Path) -> Turn | None:
    for category, lines in _by_category(rows).items():
        if category not in filed:
            arguments: dict[str, JsonValue] = {"category": category, "lines": [*lines], "path": str(source)}
            return Turn(
                text=f"These look like {category}.", tool_calls=[ToolCall("file_expenses", arguments)]
            )
    return None


def _report(report: Path, title: str) -> Turn:
    return Turn(tool_calls=[ToolCall("write_report", {"path": str(report), "title": title})])


def _by_category(rows: Iterable[Expense]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        words = set(re.findall(r"\w+", row["merchant"].lower()))
        category = next((name for name, marks in CATEGORIES.items() if words & set(marks)), OTHER)
        found.setdefault(category, []).append(row["line"])
    return found
