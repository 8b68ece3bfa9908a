"""`threadlog follow`: the facts of a run as they come, at any other terminal. Nothing is written.

The file is opened to be read only: who follows a run needs no agent and no leave to write, and has no part in
the run. Each line begins with its fact's cursor: `--after` that goes on behind it, without gap or repeat.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import click
from pydantic import TypeAdapter

from ...engine.events import (
    AssistantTurn,
    Cursor,
    Fact,
    Past,
    RunFinished,
    RunResumed,
    RunStarted,
    Steered,
    ToolDecided,
    ToolFinished,
    ToolSuspended,
)
from ...store.errors import LogUnavailable, NotFound
from ...store.log import Log
from ..opening import on_a_log, reading
from ..standing import Standing, standing
from ..terminal import compact, console, line, print_json, styled
from .pending import in_words
from .runs import ended

_FACTS: TypeAdapter[Fact] = TypeAdapter(Fact)
_OWN: Mapping[str, Any] = {"cursor": True, "message": {"provider"}}
"""Left out of the JSON: the cursor is written as it is typed, the provider's own bytes are for its model."""


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--after", metavar="V.I", help="Only what comes behind this fact: what a line begins with.")
@on_a_log
def follow(db: str, as_json: bool, run_id: str, after: str | None) -> None:
    """Print what a RUN does, a line for each fact, as it happens and until the run is over.

    What has happened comes first. With --json every line is one fact. Ctrl-C ends this, not the run.
    """
    seen = _cursor(after) if after is not None else None
    with reading(db) as log:
        for fact in told(log, run_id, seen):
            if as_json:
                print_json(_json(fact), indent=None)
            else:
                _print(fact)


def _cursor(text: str) -> Cursor:
    if not re.fullmatch(r"[0-9]{1,18}\.[0-9]{1,18}", text):
        raise click.UsageError(f"--after takes what a line begins with, as 3.0, not {text!r}")
    version, number = text.split(".")
    return Cursor(int(version), int(number))


def told(log: Log, run_id: str, after: Cursor | None = None) -> Iterator[Fact]:
    """The facts of a run behind a cursor, those to come too, until the run is over.

    Raises:
        NotFound: there is no such run, or its thread has no such version yet.
        LogUnavailable: what is to come cannot be seen, as the file lies where no lock can be taken.
    """
    for _ in log.changes():
        now = standing(log, run_id)
        if now.has_begun:
            # Behind the standing: what a run that was not over has said since comes with the next change.
            until = now.last_version if now.status == "done" else log.head(now.thread_id)
            past = Past(log, run_id, now.thread_id, now.first_version)
            after = after or Cursor.behind(now.first_version - 1)
            _refuse_beyond(now, after, log.head(now.thread_id))
            while after < Cursor.behind(until):
                facts, after = past.behind(after, until)
                yield from facts
        if now.status == "done":
            return
        _refuse_still(log)


def _refuse_beyond(now: Standing, after: Cursor, head: int) -> None:
    if after > Cursor.behind(head):
        raise NotFound(f"thread {now.thread_id!r} has versions 1 to {head}: there is no {after.version}")


def _refuse_still(log: Log) -> None:
    if not log.is_live:
        raise LogUnavailable(
            f"{str(log.path)!r} lies where no lock can be taken: the run is not over, and what it does from "
            "now on cannot be seen here; follow it where the folder may be written, or later with --after"
        )


def _json(fact: Fact) -> dict[str, Any]:
    fields = _FACTS.dump_python(fact, mode="json", exclude=_OWN)
    return {"cursor": _place(fact), "fact": type(fact).__name__, **fields}


def _place(fact: Fact) -> str:
    return f"{fact.cursor.version}.{fact.cursor.number}"


def _print(fact: Fact) -> None:
    text, style = _what(fact)
    console.print(styled(f"{_place(fact):<6}", "dim") + styled(line(text), style), soft_wrap=True)


def _what(fact: Fact) -> tuple[str, str]:
    """A fact as a person reads it, and its color."""
    match fact:
        case RunStarted(run_id, thread_id):
            return f"run {run_id} begins on thread {thread_id}", "bold"
        case RunResumed(run_id):
            return f"run {run_id} goes on", "bold"
        case Steered(message):
            return f"user: {message.content}", "cyan"
        case AssistantTurn(message):
            calls = [f"→ {call.name}({compact(call.arguments)})" for call in message.tool_calls]
            return " ".join(filter(None, ["assistant:", message.content, *calls])), "green"
        case ToolSuspended(call_id, name, asked):
            about = f"{asked.message} {compact(asked.parameters)}"
            return (
                f"{name} waits for a decision: {about}, call {call_id}, ticket {asked.ticket}",
                "bold yellow",
            )
        case ToolDecided(call_id, decision):
            return f"call {call_id} is {in_words(decision)}", "cyan"
        case ToolFinished(outcome):
            style = "yellow" if outcome.outcome == "succeeded" else "red"
            return f"{outcome.name} {outcome.outcome}: {compact(outcome.result)}", style
        case RunFinished(result):
            return _end(result.status, ended(result.termination), result.output), "bold"


def _end(status: str, how: str, output: Any) -> str:
    if status == "waiting":
        return "the run waits for a person"
    return f"the run is over: {how}" + (f", {compact(output)}" if output is not None else "")
