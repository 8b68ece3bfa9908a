"""Printing to the terminal. Text from a log is data: control characters are shown, never obeyed."""

import json
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import click
from click.exceptions import Exit
from rich.console import Console
from rich.table import Table
from rich.text import Text


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # The reader has seen enough. rich and click would exit with 1, which means: a check found something.
        raise Exit(0)


console = _Console(highlight=False)


def visible(text: object, limit: int | None = None) -> str:
    """Escape control and formatting characters, and cut the text at `limit`."""
    shown = "".join(char if _is_plain(char) else char.encode("unicode_escape").decode() for char in str(text))
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def _is_plain(char: str) -> bool:
    # Cc: control, Cf: bidirectional overrides and the like, Zl and Zp: line separators.
    return char in "\n " or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def line(text: object, limit: int | None = None) -> str:
    """Return a text as `visible` does, on one line."""
    return visible(" ".join(str(text).split()), limit)


def styled(text: object, style: str = "") -> Text:
    """Return a visible text for rich, which reads no markup in it."""
    return Text(visible(text), style=style)


def when(at: int) -> str:
    """Return a time in UTC, to the millisecond; the bare microseconds if no calendar reaches that far."""
    try:
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
    except (ValueError, OverflowError):
        return f"{at} µs"
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"


def compact(value: object, limit: int | None = None) -> str:
    """Return a JSON value on one line."""
    return visible(json.dumps(value, ensure_ascii=False), limit)


def json_text(value: object) -> Text:
    """Return a JSON document, indented."""
    return styled(json.dumps(value, indent=2, ensure_ascii=False))


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print a JSON value for programs, in printable ASCII: no character means anything to a terminal."""
    try:
        click.echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))
    except BrokenPipeError:
        raise Exit(0) from None


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table. A column whose name ends in '#' holds numbers."""
    table = Table(title=styled(title, "bold"), title_justify="left", header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith("#") else "left"
        table.add_column(column.rstrip("#"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else styled("" if value is None else value)
