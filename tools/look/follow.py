"""`threadlog follow`: the durable events of a run, as they happen, whichever process executes it.

Following needs no agent and only read access. Each line begins with the cursor of its event; `--after CURSOR`
resumes after that line, without gaps or repeats.
"""

from collections.abc import Iterator

import click

from ...engine.events import Cursor, DurableEvent, Past, event_json
from ...store.errors import LogUnavailable, NotFound
from ...store.log import Log
from ..opening import log_options, open_readonly
from ..run_view import find_run
from ..terminal import console, one_line, print_json, styled_text
from .event_text import event_text


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--after", metavar="P.I", help="Start after the event with this cursor: the first word of its line."
)
@log_options
def follow(db: str, as_json: bool, run_id: str, after: str | None) -> None:
    """Print a run's events as they happen.

    One per line, past events first, until the run has finished. --json prints one JSON object per line.
    Ctrl-C does not stop the run.
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
            f"--after takes a cursor such as 3.0, the first word of a line, not {text!r}"
        ) from None


def _events(log: Log, run_id: str, after: Cursor | None) -> Iterator[DurableEvent]:
    """Yield the durable events of a run after a cursor, past and future, until the run has finished.

    Raises:
        NotFound: the log has no such run, or ends before the cursor.
        LogUnavailable: the file is read from a copy, which receives no future events.
    """
    for _ in log.changes():
        run = find_run(log, run_id)
        if run.has_started:
            # The run was read before the head: if it was unfinished, later events come with the next change.
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
        raise NotFound(f"the log ends at position {head}: it has no event {after} yet")


def _refuse_snapshot(log: Log) -> None:
    if not log.is_live:
        raise LogUnavailable(
            f"{str(log.path)!r} cannot be locked, so future events of this run cannot be read: "
            "make the folder writable, or try again later with --after"
        )


def _print(event: DurableEvent) -> None:
    text, style = event_text(event)
    console.print(
        styled_text(f"{event.cursor!s:<6}", "dim") + styled_text(one_line(text), style), soft_wrap=True
    )
