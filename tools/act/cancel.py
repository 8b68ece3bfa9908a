"""`threadlog cancel`: cancel a run and all its descendants."""

import click

from ...engine.runtime import Runtime
from ...store.errors import RunOver
from ..run_view import RunView, find_run
from ..wording import end_text
from .control_command import ControlCommand, control_options, send


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--reason", metavar="TEXT", help="Why; recorded in the log.")
@control_options
def cancel(db: str, as_json: bool, run_id: str, reason: str | None, by: str | None, wait: float) -> None:
    """Cancel a run and all its descendants.

    A waiting or queued run ends at once. A running run is interrupted by the process that executes it.
    """

    async def record(runtime: Runtime) -> str | None:
        run = find_run(runtime.log, run_id)
        if not await runtime.cancel(run_id, by=by, reason=reason):
            _refuse_unless_cancelled(find_run(runtime.log, run_id))
        elif run.status == "done":
            return "cancel the unfinished descendants"
        return None

    command = ControlCommand(db, run_id, "cancel", by, record, lambda entry: entry.kind == "cancel")
    send(command, as_json, wait)


def _refuse_unless_cancelled(run: RunView) -> None:
    # Cancelling a cancelled run is a no-op.
    if run.termination is None or run.termination.type != "cancelled":
        raise RunOver(run.run_id, end_text(run.termination, run.executor))
