"""`threadlog pending`: the tool calls that wait for a person, each with the command that approves it.

Unlike `Runtime.pending` this needs read access only. It includes calls of running runs, and shows decisions
that are recorded but not applied.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click

from ...engine.control import decision_record
from ...reducers.tool_call import DecisionRecord, ToolCallState, pending_calls
from ...store.changeset import control_stream
from ...store.log import Log
from ..next_steps import decide_line, resume_line
from ..opening import log_options, open_readonly
from ..run_view import RunView, find_run
from ..terminal import compact_json, console, one_line, print_json, styled_text
from ..wording import call_text, decision_text


class Question(NamedTuple):
    """A tool call that waits for a person."""

    run: RunView
    call: ToolCallState
    decision: DecisionRecord | None
    """The decision, if one is recorded and no process has applied it."""

    @property
    def ticket(self) -> str:
        """The target of a decision. Tickets are unique in the log; call ids are chosen by providers."""
        return self.call.suspension.ticket if self.call.suspension else self.call.call_id


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@log_options
def pending(db: str, as_json: bool, run_id: str | None) -> None:
    """List the tool calls that are waiting for approval.

    Each is printed with the command that approves it. A call stays listed after the decision, until a process
    applies it.
    """
    with open_readonly(db) as log:
        names = [row.run_id for row in log.open_runs()] if run_id is None else [run_id]
        found = list(_questions(log, [find_run(log, name) for name in names]))
    if as_json:
        print_json([_json(question, db) for question in found])
    elif found:
        for question in found:
            _print(question, db)
    else:
        console.print("No tool call is waiting for approval.")


def _questions(log: Log, runs: Iterable[RunView]) -> Iterator[Question]:
    # A running run can have questions, too, while other calls of the same turn are executed.
    for run in (run for run in runs if run.status in ("running", "waiting")):
        decided = _unapplied_decisions(log, run)
        for call in pending_calls(log.state(run.thread_id)):
            question = Question(run, call, decided.get(call.call_id))
            yield question._replace(decision=decided.get(question.ticket, question.decision))


def _unapplied_decisions(log: Log, run: RunView) -> dict[str, DecisionRecord]:
    """Return the decisions that the run has not applied, by ticket or call id."""
    commands = log.read(control_stream(run.run_id), after=run.control)
    records = [decision_record(each.entry) for each in commands if each.entry and each.entry.kind == "decide"]
    return {record.target: record for record in records}


def _json(question: Question, db: str) -> dict[str, object]:
    run, call, decision = question
    suspension = call.suspension.model_dump() if call.suspension else {}
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "agent": run.agent,
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
        **suspension,
        "decision": decision.model_dump() if decision else None,
        "decide": decide_line(db, run.run_id, question.ticket),
    }


def _print(question: Question, db: str) -> None:
    run, call, decision = question
    _print_unwrapped(one_line(call_text(call)), "bold yellow")
    _print_unwrapped("  " + one_line(f"run {run.run_id} on thread {run.thread_id}, agent {run.agent}"))
    for text in _details(call):
        _print_unwrapped(f"  {one_line(text)}")
    if decision:
        _print_unwrapped(
            f"  {one_line(decision_text(decision))}. No running process has picked it up yet:", "green"
        )
        _print_unwrapped(f"  {resume_line(db, run.thread_id)}", "cyan")
    else:
        _print_unwrapped(f"  {decide_line(db, run.run_id, question.ticket)}", "cyan")
        _print_unwrapped("  (or --deny --reason WHY)", "dim")


def _print_unwrapped(text: str, style: str = "") -> None:
    # A wrapped command line could not be copied.
    console.print(styled_text(text, style), soft_wrap=True)


def _details(call: ToolCallState) -> Iterator[str]:
    asked = call.suspension
    if asked and asked.message:
        yield asked.message
    if asked and asked.parameters not in (None, call.arguments):
        yield f"about {compact_json(asked.parameters)}"
    if asked and asked.response_schema is not None:
        yield f"approve with --result, JSON that matches {compact_json(asked.response_schema)}"
    yield f"call {call.call_id}, ticket {asked.ticket if asked else '-'}"
