"""`threadlog follow`: the durable events of a run, as they happen, at any terminal.

The file is opened read-only: following a run needs no agent and no write access, and does not affect the run.
Each line begins with its event's cursor. `--after CURSOR` resumes after that line, without gap or repeat.
"""

from collections.abc import Iterator

import click

from ...engine.events import Cursor, DurableEvent, Past, event_json
from ...store.errors import LogUnavailable, NotFound
from ...store.log import Log
from ..opening import log_options, open_readonly
from ..run_view import find_run
from ..terminal import console, line, print_json, styled
from .event_text import event_text


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--after", metavar="P.I", help="Start after this event: the cursor that its line begins with.")
@log_options
def follow(db: str, as_json: bool, run_id: str, after: str | None) -> None:
    """Print a RUN's durable events as they happen, one per line, until the run has finished.

    Past events come first. With --json each line is a JSON object. Ctrl-C stops following, not the run.
    """
    cursor = _cursor(after) if after is not None else None
    with open_readonly(db) as log:
        for event in _events(log, run_id, cursor):
            if as_json:
                print_json(event_json(event), indent=None)
            else:
                _print(event)


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError:
        raise click.UsageError(
            f"--after takes the cursor at the beginning of a line, like 3.0, not {text!r}"
        ) from None


def _events(log: Log, run_id: str, after: Cursor | None) -> Iterator[DurableEvent]:
    """Yield the durable events of a run after a cursor, future ones too, until the run has finished.

    Raises:
        NotFound: there is no such run, or the log has no such position yet.
        LogUnavailable: future events cannot be seen, because no lock can be taken where the file is.
    """
    for _ in log.changes():
        run = find_run(log, run_id)
        if run.has_started:
            # The run was read first: if it was unfinished, what follows this head comes with the next change.
            head = log.position()
            past = Past.of(log, run.run_id, run.thread_id, run.first_version)
            after = after or past.start
            _refuse_future_cursor(after, head)
            while after < Cursor.after(head):
                events, after = past.after(after, head)
                yield from events
        if run.status == "done":
            return
        _refuse_snapshot(log)


def _refuse_future_cursor(after: Cursor, head: int) -> None:
    if after > Cursor.after(head):
        raise NotFound(f"the log ends at position {head}: there is no event {after} yet")


def _refuse_snapshot(log: Log) -> None:
    if not log.is_live:
        raise LogUnavailable(
            f"{str(log.path)!r} is in a folder where no lock can be taken, so the future events of this run "
            "cannot be seen: follow it where the folder is writable, or later with --after"
        )


def _print(event: DurableEvent) -> None:
    text, style = event_text(event)
    console.print(styled(f"{event.cursor!s:<6}", "dim") + styled(line(text), style), soft_wrap=True)
