"""`threadlog show`: a thread at a version: its conversation, its runs, its state."""

from collections.abc import Mapping, Sequence

import click
from rich.panel import Panel
from rich.text import Text

from ...reducers.replay import Thread, replay
from ...store.changeset import Message
from ...store.listing import RunRow
from ..opening import log_options, open_readonly, resolve_version
from ..terminal import console, json_text, print_json, styled
from ..wording import ROLE_STYLES, call_text, end_text, status_text
from .tree import branch, descendants

Descendants = Mapping[str, Sequence[tuple[int, RunRow]]]
"""By run: the runs below it, with their depth."""


@click.command()
@click.argument("thread")
@click.option("--at", type=int, metavar="VERSION", help="The thread at this version.")
@log_options
def show(db: str, as_json: bool, thread: str, at: int | None) -> None:
    """Show a thread: its conversation, its runs, its state."""
    with open_readonly(db) as log:
        version = resolve_version(log, thread, at)
        view = replay(log.read(thread, until=version))
        below = descendants(log, view.runs)
    if as_json:
        print_json(_json(thread, view))
    else:
        _print(thread, view, below)


def _json(thread: str, view: Thread) -> dict[str, object]:
    return {
        "thread_id": thread,
        "version": view.version,
        "metadata": view.metadata.model_dump(),
        "runs": {run_id: run.model_dump(exclude_none=True) for run_id, run in view.runs.items()},
        "messages": [message.model_dump(exclude_defaults=True) for message in view.messages],
        "state": view.state,
    }


def _print(thread: str, view: Thread, below: Descendants) -> None:
    console.rule(styled(f"thread {thread} at version {view.version}", "bold"), align="left")
    for message in view.messages:
        console.print(_message(message))
    for run_id, run in view.runs.items():
        status = ", ".join(filter(None, [run.status, end_text(run.termination)]))
        console.print(styled(f"run {run_id}: {status}", "dim"))
        for depth, row in below.get(run_id, ()):
            console.print(styled(_descendant(depth, row), "dim"))
    console.print(Panel(json_text(view.state), title="state", title_align="left"))


def _descendant(depth: int, row: RunRow) -> str:
    status = status_text(row.status, end_text(row.termination))
    return f"{branch(depth, row.run_id)}: {row.agent} on {row.thread_id}, {status}"


def _message(message: Message) -> Text:
    role = styled(f"{message.role:>9}  ", f"bold {ROLE_STYLES[message.role]}")
    text = role + styled(message.content)
    for call in message.tool_calls:
        text += styled(f"\n           → {call_text(call, 200)}", "green")
    return text
