"""A CSV of expenses: reading it, and a sample."""

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TypedDict

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
COLUMNS = ("date", "merchant", "amount")


class Expense(TypedDict):
    """One line of the CSV."""

    line: int
    date: str
    merchant: str
    cents: int


def read_csv(path: Path) -> Iterator[Expense]:
    """Yield the expenses of a CSV.

    Raises:
        ValueError: a column is missing, or a line is malformed.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise ValueError(f"{str(path)!r} has no column {', '.join(missing)}")
        for line, row in enumerate(reader, 2):
            try:
                yield _expense(line, row)
            except (TypeError, AttributeError, ValueError, ArithmeticError) as err:
                raise ValueError(f"line {line} of {str(path)!r} is not date,merchant,amount: {row}") from err


def _expense(line: int, row: dict[str, str]) -> Expense:
    return {
        "line": line,
        "date": date.fromisoformat(row["date"]).isoformat(),
        "merchant": row["merchant"].strip(),
        "cents": _cents(row["amount"]),
    }


def _cents(amount: str) -> int:
    cents = Decimal(amount).scaleb(2)
    if not cents.is_finite() or cents % 1:
        raise ValueError(f"{amount!r} is not an amount of money")
    return int(cents)


def money(cents: int) -> str:
    """Format cents as an amount of money."""
    return f"{cents / 100:,.2f}"
