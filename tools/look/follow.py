"""`threadlog follow`: the durable events of a run, as they happen, at any terminal.

The file is opened for reading only: to follow a run takes no agent and no write access, and does not affect
the run. Each line begins with its event's cursor. `--after CURSOR` resumes after that line, without gap or
repeat.
"""

import re
from collections.abc import Iterator, Mapping

import click
from pydantic import TypeAdapter

from ...engine.events import Cursor, Fact, Past
from ...store.errors import LogUnavailable, NotFound
from ...store.log import Log
from ..opening import log_options, open_readonly
from ..run_view import RunView, find_run
from ..terminal import console, line, print_json, styled
from .event_text import event_text

_FACTS: TypeAdapter[Fact] = TypeAdapter(Fact)
_EXCLUDED: Mapping[str, bool | set[str]] = {"cursor": True, "message": {"provider"}}
"""Left out of the JSON: the cursor stands there as text, the provider's own data is for its model only."""


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--after", metavar="V.I", help="Start after this event: the cursor that its line begins with.")
@log_options
def follow(db: str, as_json: bool, run_id: str, after: str | None) -> None:
    """Print the durable events of a RUN, one per line, as they happen and until it has finished.

    Past events come first. With --json every line is one event. Ctrl-C stops following, not the run.
    """
    cursor = _cursor(after) if after is not None else None
    with open_readonly(db) as log:
        for fact in _facts(log, run_id, cursor):
            if as_json:
                print_json(_json(fact), indent=None)
            else:
                _print(fact)


def _cursor(text: str) -> Cursor:
    if not re.fullmatch(r"[0-9]{1,18}\.[0-9]{1,18}", text):
        raise click.UsageError(f"--after takes the cursor that a line begins with, as 3.0, not {text!r}")
    version, number = text.split(".")
    return Cursor(int(version), int(number))


def _facts(log: Log, run_id: str, after: Cursor | None) -> Iterator[Fact]:
    """Yield the durable events of a run after a cursor, future ones too, until the run has finished.

    Raises:
        NotFound: there is no such run, or its thread has no such version yet.
        LogUnavailable: future events cannot be seen, because no lock can be taken where the file lies.
    """
    for _ in log.changes():
        run = find_run(log, run_id)
        if run.has_started:
            # Read after the run: if it was unfinished, what follows this head comes with the next change.
            until = run.last_version if run.status == "done" else log.head(run.thread_id)
            past = Past(log, run_id, run.thread_id, run.first_version)
            after = after or Cursor.behind(run.first_version - 1)
            _refuse_future_cursor(run, after, log.head(run.thread_id))
            while after < Cursor.behind(until):
                facts, after = past.behind(after, until)
                yield from facts
        if run.status == "done":
            return
        _refuse_snapshot(log)


def _refuse_future_cursor(run: RunView, after: Cursor, head: int) -> None:
    if after > Cursor.behind(head):
        raise NotFound(f"thread {run.thread_id!r} has versions 1 to {head}: there is no {after.version}")


def _refuse_snapshot(log: Log) -> None:
    if not log.is_live:
        raise LogUnavailable(
            f"{str(log.path)!r} lies where no lock can be taken: the run is not finished, and its future "
            "events cannot be seen here; follow it where the folder is writable, or later with --after"
        )


def _json(fact: Fact) -> dict[str, object]:
    fields = _FACTS.dump_python(fact, mode="json", exclude=_EXCLUDED)
    return {"cursor": _cursor_text(fact), "fact": type(fact).__name__, **fields}


def _print(fact: Fact) -> None:
    text, style = event_text(fact)
    console.print(styled(f"{_cursor_text(fact):<6}", "dim") + styled(line(text), style), soft_wrap=True)


def _cursor_text(fact: Fact) -> str:
    return f"{fact.cursor.version}.{fact.cursor.number}"
