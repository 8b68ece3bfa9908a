"""`threadlog log`: the history of a thread, or of the whole log."""

from collections.abc import Iterator
from typing import Literal

import click
from rich.table import Table
from rich.text import Text

from ...store.changeset import Changeset
from ...store.errors import NotFound
from ...store.log import Log
from ...store.patch import Operation
from ..opening import log_options, open_readonly, resolve_version
from ..terminal import compact_json, console, one_line, print_json, styled_text, utc_time
from ..wording import ROLE_STYLES, call_text, end_text

LOOP = "agent_loop"
"""The source of threadlog's own patches, which the table omits."""

COLUMNS = {"version": 7, "UTC": 12, "reason": 14}
"""Columns with their widths. The last column, `what`, takes the rest of the line."""


@click.command()
@click.argument("thread", required=False)
@click.option(
    "--after",
    type=int,
    default=0,
    metavar="N",
    help="Start after this version; without THREAD, after this position.",
)
@click.option("--until", type=int, metavar="VERSION", help="Stop at this version of the thread.")
@log_options
def log(db: str, as_json: bool, thread: str | None, after: int, until: int | None) -> None:
    """Print every changeset of a thread, or of the whole log.

    --json prints one changeset per line.
    """
    if thread is None and until is not None:
        raise click.UsageError("--until needs a THREAD: it is a version of it")
    with open_readonly(db) as opened:
        changesets = _history(opened, thread, after, until)
    if as_json:
        for changeset in changesets:
            print_json(changeset.model_dump(mode="json", exclude_defaults=True), indent=None)
    else:
        print_history(changesets, names_threads=thread is None)


def _history(log: Log, thread: str | None, after: int, until: int | None) -> list[Changeset]:
    if thread is not None:
        end = resolve_version(log, thread, until)
        return list(log.read(thread, resolve_version(log, thread, after), end))
    if after < 0:
        raise NotFound(f"position {after} does not exist: positions start at 0, before the first changeset")
    return [entry.changeset for entry in log.entries(after)]


def print_history(changesets: list[Changeset], *, names_threads: bool = False) -> None:
    """Print one row per changeset: its messages and how it changed the state."""
    table = _table({"thread": 8} | COLUMNS if names_threads else COLUMNS)
    day = ""
    for changeset in changesets:
        today, time = utc_time(changeset.at).split(" ")
        # Print the date only when it changes.
        at, day = (time if today == day else f"{today}\n{time}"), today
        thread = (styled_text(changeset.thread_id),) if names_threads else ()
        what = Text("\n").join(_what(changeset))
        table.add_row(*thread, str(changeset.version), at, changeset.reason, what)
    console.print(table)


def _table(columns: dict[str, int]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    for column, width in columns.items():
        justify: Literal["left", "right"] = "right" if column == "version" else "left"
        table.add_column(column, justify=justify, no_wrap=True, width=width)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _what(changeset: Changeset) -> Iterator[Text]:
    for message in changeset.messages:
        if message.content:
            yield styled_text(f"{message.role}: {one_line(message.content, 200)}", ROLE_STYLES[message.role])
        for call in message.tool_calls:
            yield styled_text(f"→ {call_text(call, 200)}", "green")
    for patch in changeset.patches:
        if patch.source != LOOP:
            yield from (styled_text(_operation(operation), "magenta") for operation in patch.operations)
    if changeset.run and changeset.run.termination:
        executor = changeset.orphan.executor if changeset.orphan else None
        yield styled_text(end_text(changeset.run.termination, executor), "dim")


def _operation(operation: Operation) -> str:
    value = f" = {compact_json(operation['value'], 100)}" if "value" in operation else ""
    return f"{operation.get('op')} {operation.get('path')}{value}"
