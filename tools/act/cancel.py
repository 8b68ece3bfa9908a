"""`threadlog cancel`: cancel a run and all runs below it."""

import click

from ...engine.runtime import Runtime
from ...store.errors import RunOver
from ..run_view import RunView, find_run
from ..wording import end_text
from .control_command import ControlCommand, control_options, send


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--reason", metavar="TEXT", help="Why, for the log.")
@control_options
def cancel(db: str, as_json: bool, run_id: str, reason: str | None, by: str | None, wait: float) -> None:
    """Cancel a run and all runs that it has started.

    A waiting or queued run ends at once. A running one ends as soon as it can, in whichever process.
    """

    async def record(runtime: Runtime) -> str | None:
        run = find_run(runtime.log, run_id)
        if not await runtime.cancel(run_id, by=by, reason=reason):
            _refuse_unless_cancelled(find_run(runtime.log, run_id))
        elif run.status == "done":
            return "the unfinished runs below it are to be cancelled"
        return None

    summary = "the run is to be cancelled"
    command = ControlCommand(db, run_id, summary, by, record, lambda entry: entry.kind == "cancel")
    send(command, as_json, wait)


def _refuse_unless_cancelled(run: RunView) -> None:
    # A run that is already cancelled is what the user wants.
    if run.termination is None or run.termination.type != "cancelled":
        raise RunOver(run.run_id, end_text(run.termination))
