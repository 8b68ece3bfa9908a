"""Printing. Text from a log is untrusted: its control characters are escaped, never sent to the terminal."""

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
        # rich and click would exit with 1, which means that a check found something.
        raise Exit(0)


console = _Console(highlight=False)


def escape(text: object, limit: int | None = None) -> str:
    """Escape control and formatting characters, and cut the text at `limit`."""
    escaped = "".join(
        char if _is_plain(char) else char.encode("unicode_escape").decode() for char in str(text)
    )
    return escaped if limit is None or len(escaped) <= limit else escaped[: limit - 1] + "…"


def _is_plain(char: str) -> bool:
    # Cc: control, Cf: bidirectional overrides and the like, Zl and Zp: line separators.
    return char in "\n " or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def one_line(text: object, limit: int | None = None) -> str:
    """Escape a text and join its lines."""
    return escape(" ".join(str(text).split()), limit)


def styled_text(text: object, style: str = "") -> Text:
    """Return an escaped text for rich, which reads no markup in it."""
    return Text(escape(text), style=style)


def utc_time(at: int) -> str:
    """Format microseconds since 1970 as UTC, to the millisecond; out-of-range times as plain microseconds."""
    try:
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
    except (ValueError, OverflowError):
        return f"{at} µs"
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"


def compact_json(value: object, limit: int | None = None) -> str:
    """Return a JSON value on one line."""
    return escape(json.dumps(value, ensure_ascii=False), limit)


def json_text(value: object) -> Text:
    """Return a JSON document, indented, for rich."""
    return styled_text(json.dumps(value, indent=2, ensure_ascii=False))


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print a JSON value for programs, in printable ASCII: nothing in it can control a terminal."""
    try:
        click.echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))
    except BrokenPipeError:
        raise Exit(0) from None


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table. A column whose name ends in '#' holds numbers."""
    table = Table(title=styled_text(title, "bold"), title_justify="left", header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith("#") else "left"
        table.add_column(column.rstrip("#"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else styled_text("" if value is None else value)
