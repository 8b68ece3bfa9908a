"""Sending a command to a run, shared by decide, steer and cancel.

The command is appended to the run's control stream and applied by the process that executes the run. This
process executes nothing: it waits a moment, then reports which process has applied the command, or how to
start one.
"""

import getpass
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
import click

from ...engine.runtime import Runtime
from ...store.changeset import ControlEntry, control_stream
from ...store.log import Log
from ..next_steps import pending_line, recover_line, resume_line
from ..opening import Decorated, log_options, open_readonly
from ..run_view import RunView, find_run, is_dead, status_json
from ..terminal import console, one_line, print_json, styled_text
from ..wording import end_text, process_text


class ControlCommand(NamedTuple):
    """A command to a run."""

    db: str
    run_id: str
    summary: str
    """The command in words: `approve TICKET`."""

    by: str | None
    record: Callable[[Runtime], Awaitable[str | None]]
    """Appends the command. May return another summary, if it was appended to other runs instead."""

    matches: Callable[[ControlEntry], bool]
    """Returns whether an entry of the control stream is this command."""


class Recorded(NamedTuple):
    """A command in the log."""

    command: ControlCommand
    version: int
    """Version of the command in the control stream; the last version if the command is not new."""

    is_new: bool
    summary: str

    def is_applied(self, run: RunView) -> bool:
        """Return whether the run has applied the command, or has finished."""
        return run.status == "done" or run.control >= self.version


def control_options(function: Decorated) -> Decorated:
    """Add the options shared by decide, steer and cancel: `by`, `wait`, `db` and `as_json`."""

    def name(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
        return _login_name() if value is None else value

    by = click.option(
        "--by",
        metavar="NAME",
        callback=name,
        help="Who gives the command; recorded in the log. Default: your login name.",
    )
    wait = click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=0.5,
        metavar="SECONDS",
        help="How long to wait until a process applies the command. It is recorded at once.  [default: 0.5]",
    )
    return by(wait(log_options(function)))


def _login_name() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # In a container the user may have no name.
        return None


def send(command: ControlCommand, as_json: bool, wait: float) -> None:
    """Record a command, wait up to `wait` seconds until a process applies it, and print the outcome."""
    with open_readonly(command.db) as log:
        find_run(log, command.run_id)
    recorded = anyio.run(_record, command)
    with open_readonly(command.db) as log:
        run = _wait_until_applied(log, recorded, wait)
    if as_json:
        print_json(_json(recorded, run))
    else:
        _print(recorded, run)


async def _record(command: ControlCommand) -> Recorded:
    stream = control_stream(command.run_id)
    async with Runtime.open(command.db, agents=[], orphans="leave") as runtime:
        before = runtime.log.head(stream)
        other_summary = await command.record(runtime)
        new = runtime.log.read(stream, after=before)
        version = next((each.version for each in new if each.entry and command.matches(each.entry)), None)
        is_new = version is not None or other_summary is not None
        return Recorded(
            command, version or runtime.log.head(stream), is_new, other_summary or command.summary
        )


def _wait_until_applied(log: Log, recorded: Recorded, wait: float) -> RunView:
    run = find_run(log, recorded.command.run_id)
    for _ in log.changes(timeout=wait):
        run = find_run(log, recorded.command.run_id)
        if recorded.is_applied(run):
            break
    return run


def _json(recorded: Recorded, run: RunView) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "is_new": recorded.is_new,
        "applied": recorded.is_applied(run),
        **status_json(run),
    }


def _print(recorded: Recorded, run: RunView) -> None:
    command = recorded.command
    by = f" (by {command.by})" if command.by and recorded.is_new else ""
    summary = f"{'Recorded' if recorded.is_new else 'Already recorded'}: {one_line(recorded.summary + by)}"
    console.print(styled_text(summary, "green"), soft_wrap=True)
    console.print(styled_text(_outcome(recorded, run)), soft_wrap=True)


def _outcome(recorded: Recorded, run: RunView) -> str:
    """Return which process has applied the command, or what to do so that one will."""
    db, process = recorded.command.db, one_line(process_text(run.executor))
    is_applied = recorded.is_applied(run)
    match run.status:
        case "done":
            return f"The run has finished, {one_line(end_text(run.termination, run.executor))}."
        case "queued":
            return f"The run is queued on thread {one_line(run.thread_id)}. It applies this when it starts."
        case "running" if is_applied:
            return f"Applied by {process}, which executes the run."
        case "running" if is_dead(db, run.executor):
            problem = f"Not applied: {process}, which executed the run, died. Close the run:"
            return f"{problem}\n  {recover_line(db, run.run_id)}"
        case "running":
            return f"Not applied yet: {process} executes the run and applies this at its next step."
        case _ if is_applied:
            return f"Applied by {process}. The run waits for a person:\n  {pending_line(db, run.run_id)}"
        case _:
            problem = f"No running process has picked it up yet. Start one that has agent {run.agent!r}:"
            return f"{problem}\n  {resume_line(db, run.thread_id)}"
