"""`threadlog diff`: what changed in a thread's state between two versions."""

from typing import Any

import click
import jsonpatch

from ...store.patch import Operation, apply, find
from ..opening import log_options, open_readonly, resolve_version
from ..terminal import compact_json, console, escape, print_json, styled_text


@click.command()
@click.argument("thread")
@click.argument("before", type=int)
@click.argument("after", type=int, required=False)
@log_options
def diff(db: str, as_json: bool, thread: str, before: int, after: int | None) -> None:
    """Print what changed in a thread's state between two versions.

    AFTER is the last version by default. --json prints an RFC 6902 patch.
    """
    with open_readonly(db) as log:
        old = log.state(thread, resolve_version(log, thread, before))
        new = log.state(thread, resolve_version(log, thread, after))
    operations = readable_diff(old, new)
    if as_json:
        print_json(operations)
    else:
        print_diff(old, operations)


def readable_diff(old: Any, new: Any) -> list[Operation]:
    """Return the RFC 6902 patch between two documents, with moves, which `store.patch.diff` never makes."""
    operations: list[Operation] = jsonpatch.make_patch(old, new).patch
    return operations


def print_diff(old: Any, operations: list[Operation]) -> None:
    """Print one line per operation, with the value before and after."""
    if not operations:
        console.print("no difference")
    for operation in operations:
        console.print(styled_text(*_change(old, operation)))
        # The next operation refers to the document as this one left it.
        old = apply(old, [operation])


def _change(old: Any, operation: Operation) -> tuple[str, str]:
    """Return the line for an operation, and its color."""
    path = escape(operation["path"]) or "(the whole state)"
    before = find(old, operation["path"])
    match operation["op"]:
        case "add":
            return f"+ {path}  {compact_json(operation['value'], 200)}", "green"
        case "remove":
            return f"- {path}  {compact_json(before, 200)}", "red"
        case "replace":
            return (
                f"~ {path}  {compact_json(before, 100)} → {compact_json(operation['value'], 100)}",
                "yellow",
            )
        case _:
            return f"> {path}  from {operation['from']}", "yellow"
