"""Looking into a log: threads, show, log, state, diff. Nothing is written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import click
import jsonpatch
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...reducers.replay import Thread, replay
from ...store.changeset import Changeset, Message
from ...store.errors import ContentError, NotFound
from ...store.listing import RunRow
from ...store.patch import MISSING, apply, find
from ..opening import on_a_log, reading, version_in
from ..terminal import compact, console, line, print_json, print_table, styled, visible, when
from .runs import ended
from .tree import branch, descendants

STYLES = {"user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta"}
LOOP = "agent_loop"
"""The source of threadlog's own patches: left out where a person looks for the agent's."""


@click.command()
@on_a_log
def threads(db: str, as_json: bool) -> None:
    """List the threads."""
    with reading(db) as log:
        rows = log.threads()
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    print_table(
        f"{len(rows)} threads",
        ("thread", "version#", "messages#", "last written (UTC)", "parent", "owner", "labels"),
        (
            (
                row.thread_id,
                row.version,
                row.messages,
                when(row.updated_at),
                row.parent,
                row.owner,
                _labels(row.labels),
            )
            for row in rows
        ),
    )


def _labels(labels: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())


@click.command()
@click.argument("thread")
@click.option("--at", type=int, metavar="VERSION", help="As it stood at this version.")
@on_a_log
def show(db: str, as_json: bool, thread: str, at: int | None) -> None:
    """Show a thread as it stands: its conversation, its runs, its state."""
    with reading(db) as log:
        version = version_in(log, thread, at)
        view = replay(log.read(thread, until=version))
        started = descendants(log, view.runs)
    if as_json:
        print_json(_thread_json(thread, view))
    else:
        print_thread(thread, view, started)


def _thread_json(thread: str, view: Thread) -> dict[str, Any]:
    return {
        "thread_id": thread,
        "version": view.version,
        "facts": view.facts.model_dump(),
        "runs": {run_id: run.model_dump(exclude_none=True) for run_id, run in view.runs.items()},
        "messages": [message.model_dump(exclude_defaults=True) for message in view.messages],
        "state": view.state,
    }


def print_thread(
    thread: str, view: Thread, started: Mapping[str, Sequence[tuple[int, RunRow]]] = MappingProxyType({})
) -> None:
    """The conversation, then the runs with what they have started, then the state."""
    console.rule(styled(f"thread {thread} at version {view.version}", "bold"), align="left")
    for message in view.messages:
        console.print(_message(message))
    for run_id, run in view.runs.items():
        how = ended(run.termination)
        console.print(styled(f"run {run_id}: {run.status}" + (f", {how}" if how else ""), "dim"))
        for depth, row in started.get(run_id, ()):
            console.print(styled(_started(depth, row), "dim"))
    console.print(Panel(json_text(view.state), title="state", title_align="left"))


def _started(depth: int, row: RunRow) -> str:
    how = ": ".join(filter(None, [row.status, ended(row.termination)]))
    return f"{branch(depth, row.run_id)}: {row.agent} on {row.thread_id}, {how}"


def _message(message: Message) -> Text:
    text = styled(f"{message.role:>9}  ", f"bold {STYLES[message.role]}") + styled(message.content)
    for call in message.tool_calls:
        text += styled(f"\n           → {call.name}({compact(call.arguments, 200)})", "green")
    return text


def json_text(value: Any) -> Text:
    """A JSON document as a person reads it."""
    return styled(json.dumps(value, indent=2, ensure_ascii=False))


@click.command()
@click.argument("thread", required=False)
@click.option(
    "--after", type=int, default=0, metavar="N", help="Only what comes behind this version (position)."
)
@click.option("--until", type=int, metavar="VERSION", help="Only up to this version of the thread.")
@on_a_log
def log(db: str, as_json: bool, thread: str | None, after: int, until: int | None) -> None:
    """Print the history of a thread, or of the whole log: every changeset, in order.

    With --json every line is one changeset.
    """
    if thread is None and until is not None:
        raise click.UsageError("--until is a version of a thread: name the thread")
    with reading(db) as opened:
        if thread is None and after < 0:
            raise NotFound(f"positions begin at 0, before the first changeset: there is no {after}")
        if thread is None:
            changesets = [entry.changeset for entry in opened.entries(after)]
        else:
            end = version_in(opened, thread, until)
            changesets = list(opened.read(thread, version_in(opened, thread, after), end))
    if as_json:
        for changeset in changesets:
            print_json(changeset.model_dump(mode="json", exclude_defaults=True), indent=None)
    else:
        print_history(changesets, whole=thread is None)


def print_history(changesets: list[Changeset], *, whole: bool = False) -> None:
    """A row for each changeset: what was said, and what it did to the state."""
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    widths = {"thread": 8} if whole else {}
    for column, width in (widths | {"version": 7, "UTC": 12, "reason": 14}).items():
        justify: Literal["left", "right"] = "right" if column == "version" else "left"
        table.add_column(column, justify=justify, no_wrap=True, width=width)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
    day = ""
    for changeset in changesets:
        today, time = when(changeset.at).split(" ")
        at, day = (time if today == day else f"{today}\n{time}"), today
        cells = (changeset.version, at, changeset.reason)
        thread = (styled(changeset.thread_id),) if whole else ()
        table.add_row(*thread, *map(str, cells), Text("\n").join(_what(changeset)))
    console.print(table)


def _what(changeset: Changeset) -> Iterator[Text]:
    for message in changeset.messages:
        if message.content:
            yield styled(f"{message.role}: {line(message.content, 200)}", STYLES[message.role])
        for call in message.tool_calls:
            yield styled(f"→ {call.name}({compact(call.arguments, 200)})", "green")
    for patch in changeset.patches:
        if patch.source != LOOP:
            yield from (styled(_operation(operation), "magenta") for operation in patch.operations)
    if changeset.run and changeset.run.termination:
        yield styled(ended(changeset.run.termination), "dim")


def _operation(operation: dict[str, Any]) -> str:
    value = f" = {compact(operation['value'], 100)}" if "value" in operation else ""
    return f"{operation.get('op')} {operation.get('path')}{value}"


@click.command()
@click.argument("thread")
@click.argument("pointer", default="")
@click.option("--at", type=int, metavar="VERSION", help="As it was at this version.")
@on_a_log
def state(db: str, as_json: bool, thread: str, pointer: str, at: int | None) -> None:
    """Print the state document of a thread, or what is at a JSON POINTER in it."""
    with reading(db) as log:
        document = log.state(thread, version_in(log, thread, at))
    try:
        value = find(document, pointer)
    except ValueError as err:
        raise ContentError(str(err)) from None
    if value is MISSING:
        raise NotFound(f"there is nothing at {pointer!r} in the state of thread {thread!r}")
    if as_json:
        print_json(value)
    else:
        console.print(json_text(value))


@click.command()
@click.argument("thread")
@click.argument("before", type=int)
@click.argument("after", type=int, required=False)
@on_a_log
def diff(db: str, as_json: bool, thread: str, before: int, after: int | None) -> None:
    """Print what changed in the state between two versions of a thread (to its last, if none is given).

    With --json it is an RFC 6902 patch.
    """
    with reading(db) as log:
        old = log.state(thread, version_in(log, thread, before))
        new = log.state(thread, version_in(log, thread, after))
    operations = readable_diff(old, new)
    if as_json:
        print_json(operations)
    else:
        print_diff(old, operations)


def readable_diff(old: Any, new: Any) -> list[dict[str, Any]]:
    """The difference as a person puts it, moves included; ours, made for speed, knows no moves."""
    patch: list[dict[str, Any]] = jsonpatch.make_patch(old, new).patch
    return patch


def print_diff(old: Any, operations: list[dict[str, Any]]) -> None:
    """A line for each change, with the value before and after."""
    if not operations:
        console.print("no difference")
    for operation in operations:
        path = visible(operation["path"]) or "(the whole state)"
        # Each operation speaks of the document as the one before it left it.
        before, old = find(old, operation["path"]), apply(old, [operation])
        match operation["op"]:
            case "add":
                console.print(styled(f"+ {path}  {compact(operation['value'], 200)}", "green"))
            case "remove":
                console.print(styled(f"- {path}  {compact(before, 200)}", "red"))
            case "replace":
                change = f"{compact(before, 100)} → {compact(operation['value'], 100)}"
                console.print(styled(f"~ {path}  {change}", "yellow"))
            case _:
                console.print(styled(f"> {path}  from {operation['from']}", "yellow"))
