"""`threadlog decide`: approve or deny a tool call that waits for a person."""

import click
from pydantic import JsonValue

from ...engine.control import Decision
from ...engine.runtime import Runtime
from ...store.changeset import ControlEntry
from ...store.document import parse
from ...store.errors import ContentError
from .control_command import ControlCommand, control_options, send


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("target", metavar="TARGET")
@click.option("--approve", is_flag=True, help="Approve the call.")
@click.option("--deny", is_flag=True, help="Deny the call. The model reads the reason.")
@click.option("--reason", metavar="TEXT", help="Why the call is denied.")
@click.option(
    "--result",
    metavar="JSON",
    help="Data for tools that read context.decision; it does not change the call's arguments. For a call "
    "that was interrupted by a crash: its result, so that it does not run again.",
)
@click.option("--id", metavar="ID", help="The id of the decision. Default: derived from the ticket.")
@control_options
def decide(
    db: str,
    as_json: bool,
    run_id: str,
    target: str,
    approve: bool,
    deny: bool,
    reason: str | None,
    result: str | None,
    by: str | None,
    id: str | None,
    wait: float,
) -> None:
    """Approve or deny a tool call that is waiting for approval. TARGET is its ticket or call id.

    `threadlog pending` lists both. The decision is recorded at once, and applied by a process that has the
    run's agent; if none is running, this prints how to start one. Repeating a decision is a no-op; a
    conflicting decision is rejected.
    """
    if approve == deny:
        raise click.UsageError("give either --approve or --deny")
    if approve and reason is not None:
        raise click.UsageError("--reason needs --deny")
    decision = Decision(target, approve, _parse(result), reason, by, id)

    async def record(runtime: Runtime) -> None:
        await runtime.decide(run_id, [decision])

    def matches(entry: ControlEntry) -> bool:
        content = entry.content if isinstance(entry.content, dict) else {}
        return entry.kind == "decide" and content.get("target") == target

    summary = f"{'approve' if approve else 'deny'} {target}"
    send(ControlCommand(db, run_id, summary, by, record, matches), as_json, wait)


def _parse(result: str | None) -> JsonValue:
    try:
        value: JsonValue = None if result is None else parse(result)
    except ContentError as err:
        raise click.UsageError(f"--result is {err}") from err
    return value
