"""What a person sees. Text from a log is data: control characters are shown, never obeyed."""

import json
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import click
from click.exceptions import Exit
from rich.console import Console
from rich.table import Table
from rich.text import Text


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Whoever read this has seen enough. rich and click would exit with 1: a check found something.
        raise Exit(0)


console = _Console(highlight=False)


def visible(text: object, limit: int | None = None) -> str:
    """A text with its control and formatting characters written as escapes, shortened to `limit`."""
    shown = "".join(char if _is_plain(char) else char.encode("unicode_escape").decode() for char in str(text))
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def _is_plain(char: str) -> bool:
    # Cc: control, Cf: bidirectional overrides and the like, Zl and Zp: line separators.
    return char in "\n " or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def line(text: object, limit: int | None = None) -> str:
    """The same on one line."""
    return visible(" ".join(str(text).split()), limit)


def styled(text: object, style: str = "") -> Text:
    """A text for rich, which reads no markup in it."""
    return Text(visible(text), style=style)


def when(at: int) -> str:
    """A moment, to the millisecond, in UTC; the microseconds themselves where no calendar reaches."""
    try:
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
    except (ValueError, OverflowError):
        return f"{at} µs"
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"


def compact(value: Any, limit: int | None = None) -> str:
    """A JSON value on one line."""
    return visible(json.dumps(value, ensure_ascii=False), limit)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """A JSON value for machines: printable ASCII, so no character of it means anything to a terminal."""
    try:
        click.echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))
    except BrokenPipeError:
        raise Exit(0) from None


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table; a column whose name ends in '#' holds numbers."""
    table = Table(title=styled(title, "bold"), title_justify="left", header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith("#") else "left"
        table.add_column(column.rstrip("#"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(
            *(cell if isinstance(cell, Text) else styled("" if cell is None else cell) for cell in row)
        )
    console.print(table)
