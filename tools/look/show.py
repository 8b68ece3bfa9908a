"""`threadlog show`: a thread at a version: its conversation, runs and state."""

from collections.abc import Mapping, Sequence

import click
from rich.panel import Panel
from rich.text import Text

from ...reducers.replay import Thread, replay
from ...store.changeset import Executor, Message
from ...store.listing import RunRow
from ..opening import log_options, open_readonly, resolve_version
from ..terminal import console, json_text, print_json, styled_text
from ..wording import ROLE_STYLES, call_text, end_text, status_text
from .tree import branch, descendants

Descendants = Mapping[str, Sequence[tuple[int, RunRow]]]
"""The descendants of each run, with their depth."""


@click.command()
@click.argument("thread")
@click.option("--at", type=int, metavar="VERSION", help="Show the thread as it was at this version.")
@log_options
def show(db: str, as_json: bool, thread: str, at: int | None) -> None:
    """Print a thread: its conversation, its runs and its state."""
    with open_readonly(db) as log:
        version = resolve_version(log, thread, at)
        changesets = list(log.read(thread, until=version))
        view = replay(changesets)
        below = descendants(log, view.runs)
    if as_json:
        print_json(_json(thread, view))
    else:
        dead = {each.run_id: each.orphan.executor for each in changesets if each.orphan}
        _print(thread, view, below, dead)


def _json(thread: str, view: Thread) -> dict[str, object]:
    return {
        "thread_id": thread,
        "version": view.version,
        "metadata": view.metadata.model_dump(),
        "runs": {run_id: run.model_dump(exclude_none=True) for run_id, run in view.runs.items()},
        "messages": [message.model_dump(exclude_defaults=True) for message in view.messages],
        "state": view.state,
    }


def _print(thread: str, view: Thread, below: Descendants, dead: Mapping[str | None, Executor | None]) -> None:
    console.rule(styled_text(f"thread {thread} at version {view.version}", "bold"), align="left")
    for message in view.messages:
        console.print(_message(message))
    for run_id, run in view.runs.items():
        status = ", ".join(filter(None, [run.status, end_text(run.termination, dead.get(run_id))]))
        console.print(styled_text(f"run {run_id}: {status}", "dim"))
        for depth, row in below.get(run_id, ()):
            console.print(styled_text(_descendant(depth, row), "dim"))
    console.print(Panel(json_text(view.state), title="state", title_align="left"))


def _descendant(depth: int, row: RunRow) -> str:
    status = status_text(row.status, end_text(row.termination, row.executor))
    return f"{branch(depth, row.run_id)}: {row.agent} on {row.thread_id}, {status}"


def _message(message: Message) -> Text:
    role = styled_text(f"{message.role:>9}  ", f"bold {ROLE_STYLES[message.role]}")
    text = role + styled_text(message.content)
    for call in message.tool_calls:
        text += styled_text(f"\n           → {call_text(call, 200)}", "green")
    return text
