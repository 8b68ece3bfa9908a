"""What decide, steer and cancel share: a command is recorded, waited for, and reported.

The command is durable before any process acts on it. This process has no agents and executes nothing, so the
report has two parts: that the command is recorded, and which process has applied it or will.
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
from ..terminal import console, line, print_json, styled
from ..wording import end_text, process_text


class ControlCommand(NamedTuple):
    """A command to a run."""

    db: str
    run_id: str
    summary: str
    """The command in words, for the report."""

    by: str | None
    record: Callable[[Runtime], Awaitable[str | None]]
    """Appends the command to the run's control stream. May return what it recorded for other runs instead."""

    matches: Callable[[ControlEntry], bool]
    """Whether an entry of the control stream is this command."""


class Recorded(NamedTuple):
    """A command that is in the log."""

    command: ControlCommand
    version: int
    """Its version in the control stream; the stream's last one if the command was there before."""

    is_new: bool
    summary: str

    def is_applied(self, run: RunView) -> bool:
        """Whether the run has applied the command, or has finished."""
        return run.status == "done" or run.control >= self.version


def control_options(function: Decorated) -> Decorated:
    """Add the options of every command to a run; it receives them as `by`, `wait`, `db` and `as_json`."""

    def name(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
        return _login_name() if value is None else value

    by = click.option(
        "--by",
        metavar="NAME",
        callback=name,
        help="Who gives the command, for the log. Your login name, if omitted.",
    )
    wait = click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=0.5,
        metavar="SECONDS",
        help="How long to wait for a process to apply it. It is recorded at once.  [default: 0.5]",
    )
    return by(wait(log_options(function)))


def _login_name() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # The user has no name, as in a container.
        return None


def send(command: ControlCommand, as_json: bool, wait: float) -> None:
    """Record a command, wait up to `wait` seconds until a process applies it, and print what came of it."""
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
        elsewhere = await command.record(runtime)
        new = runtime.log.read(stream, after=before)
        version = next((each.version for each in new if each.entry and command.matches(each.entry)), None)
        is_new = version is not None or elsewhere is not None
        return Recorded(command, version or runtime.log.head(stream), is_new, elsewhere or command.summary)


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
        "taken_in": recorded.is_applied(run),
        **status_json(run),
    }


def _print(recorded: Recorded, run: RunView) -> None:
    by = f", by {recorded.command.by}" if recorded.command.by and recorded.is_new else ""
    summary = f"{'recorded' if recorded.is_new else 'nothing new'}: {line(recorded.summary + by)}"
    console.print(styled(summary, "green"), soft_wrap=True)
    console.print(styled(_outcome(recorded, run)), soft_wrap=True)


def _outcome(recorded: Recorded, run: RunView) -> str:
    """Return which process has applied the command, or else what will make one do so."""
    db, process = recorded.command.db, line(process_text(run.executor))
    is_applied = recorded.is_applied(run)
    match run.status:
        case "done":
            return f"run {line(run.run_id)} is over ({line(end_text(run.termination))})"
        case "queued":
            return f"the run is queued on thread {line(run.thread_id)}, and applies it when it starts"
        case "running" if is_applied:
            return f"{process} has applied it, and executes the run"
        case "running" if is_dead(db, run.executor):
            problem = f"no process has applied it: {process}, which executed the run, is gone"
            return f"{problem}. Close the run:\n  {recover_line(db, run.run_id)}"
        case "running":
            return f"{process} executes the run, and applies it as soon as it can"
        case _ if is_applied:
            return f"{process} has applied it, and the run waits for a person: {pending_line(db, run.run_id)}"
        case _:
            problem = f"no process has gone on with the run: start one that has agent {run.agent!r}"
            return f"{problem}:\n  {resume_line(db, run.thread_id)}"
