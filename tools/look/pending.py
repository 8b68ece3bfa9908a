"""`threadlog pending`: what waits for a person, and the line to type for an answer. Nothing is written."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from ...engine.control import recorded
from ...reducers.tool_call import DecisionRecord, ToolCallState
from ...reducers.tool_call import pending as suspended
from ...store.changeset import control_stream
from ...store.log import Log
from ..opening import on_a_log, reading
from ..standing import Standing, deciding, going_on, standing
from ..terminal import compact, console, line, print_json, styled


class Question(NamedTuple):
    """A call that waits for a person."""

    run: Standing
    call: ToolCallState
    decision: DecisionRecord | None
    """What was decided, if nobody has acted on it yet: then it waits for a process."""

    @property
    def ticket(self) -> str:
        """What a decision may call it: unique in the log, as the ids that providers give are not."""
        return self.call.suspension.ticket if self.call.suspension else self.call.call_id


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@on_a_log
def pending(db: str, as_json: bool, run_id: str | None) -> None:
    """List the calls that wait for a person, over the whole log or of one RUN, and how to answer.

    A call that is decided already is listed until a process has taken the decision in.
    """
    with reading(db) as log:
        names = [row.run_id for row in log.open_runs()] if run_id is None else [run_id]
        found = list(questions(log, [standing(log, name) for name in names]))
    if as_json:
        print_json([_json(question, db) for question in found])
    elif found:
        for question in found:
            _print(question, db)
    else:
        console.print("nothing waits for a person")


def questions(log: Log, runs: list[Standing]) -> Iterator[Question]:
    """What runs ask, in order. A run that goes on may ask, too: others of its calls are not done yet."""
    for run in runs:
        if run.status in ("running", "waiting"):
            decided = dict(_decided(log, run))
            for call in suspended(log.state(run.thread_id)):
                question = Question(run, call, decided.get(call.call_id))
                yield question._replace(decision=decided.get(question.ticket, question.decision))


def _decided(log: Log, run: Standing) -> Iterator[tuple[str, DecisionRecord]]:
    """By call or ticket: what is decided, and not taken in."""
    for changeset in log.read(control_stream(run.run_id), after=run.control):
        if changeset.entry and changeset.entry.kind == "decide":
            record = recorded(changeset.entry)
            yield record.target, record


def _json(question: Question, db: str) -> dict[str, Any]:
    run, call, decision = question
    asked = call.suspension.model_dump() if call.suspension else {}
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "agent": run.agent,
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
        **asked,
        "decision": decision.model_dump() if decision else None,
        "decide": deciding(db, run.run_id, question.ticket),
    }


def _print(question: Question, db: str) -> None:
    run, call, decision = question
    _say(line(f"{call.name}({compact(call.arguments)})"), "bold yellow")
    _say("  " + line(f"run {run.run_id} on thread {run.thread_id}, agent {run.agent}"))
    for text in _asked(call):
        _say(f"  {line(text)}")
    if decision:
        _say(f"  {line(in_words(decision))}, and no process has taken it in", "green")
        _say(f"  {going_on(db, run.thread_id)}", "cyan")
    else:
        _say(f"  {deciding(db, run.run_id, question.ticket)}", "cyan")
        _say("  (or --deny --reason WHY)", "dim")


def _say(text: str, style: str = "") -> None:
    # Never folded: what is to be typed is to be copied whole.
    console.print(styled(text, style), soft_wrap=True)


def _asked(call: ToolCallState) -> Iterator[str]:
    asked = call.suspension
    if asked and asked.message:
        yield asked.message
    if asked and asked.parameters not in (None, call.arguments):
        yield f"about {compact(asked.parameters)}"
    if asked and asked.response_schema is not None:
        yield f"with --result, JSON of the form {compact(asked.response_schema)}"
    yield f"call {call.call_id}, ticket {asked.ticket if asked else '-'}"


def in_words(decision: DecisionRecord) -> str:
    """What was decided, by whom and why."""
    what = "approved" if decision.approved else "denied"
    by = f" by {decision.by}" if decision.by else ""
    why = f": {decision.reason}" if decision.reason else ""
    return f"{what}{by}{why}"
