"""`threadlog steer`: send a message to a run."""

import click

from ...engine.commit import SystemEffects
from ...engine.runtime import Runtime
from .control_command import ControlCommand, control_options, send


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("text", metavar="TEXT")
@click.option(
    "--id", metavar="ID", help="The id of the message. Sending it again with the same id is a no-op."
)
@control_options
def steer(
    db: str, as_json: bool, run_id: str, text: str, by: str | None, id: str | None, wait: float
) -> None:
    """Send a message to a run. The model reads it at its next step; a waiting run resumes."""
    if not text.strip():
        raise click.UsageError("TEXT is empty")
    entry_id = id or SystemEffects().new_id()

    async def record(runtime: Runtime) -> None:
        await runtime.steer(run_id, text, by=by, id=entry_id)

    summary = f"message {text!r}"
    command = ControlCommand(db, run_id, summary, by, record, lambda entry: entry.id == entry_id)
    send(command, as_json, wait)
