"""What a changeset tells: a pure function, so that what is told live is what is read from the log later."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ...reducers.tool_call import ToolCallDecided, ToolCallSuspended
from ...store.changeset import ActionRecord, Changeset, RunFacts
from ...store.history import as_written
from ...store.log import Log
from .event import (
    AssistantTurn,
    Cursor,
    Fact,
    RunFinished,
    RunResult,
    RunResumed,
    RunStarted,
    Steered,
    ToolDecided,
    ToolFinished,
    ToolSuspended,
)

AT_ONCE = 50
"""Changesets that are read from the log without giving way to other tasks."""

Made = Callable[[Cursor], Fact]
"""A fact that lacks its place."""


def facts(changeset: Changeset) -> list[Fact]:
    """The facts of a changeset that has its version, in order; none of one that is no run's."""
    made = _facts(changeset, changeset.run_id) if changeset.run_id else ()
    return [make(Cursor(changeset.version, number)) for number, make in enumerate(made)]


def _facts(changeset: Changeset, run_id: str) -> Iterator[Made]:
    if changeset.reason == "run_started":
        yield partial(RunStarted, run_id, changeset.thread_id)
    if changeset.reason == "run_resumed":
        yield partial(RunResumed, run_id, changeset.thread_id)
    for record in changeset.actions:
        yield from _of_a_person(record)
    for message in changeset.messages:
        if message.role == "assistant":
            yield partial(AssistantTurn, message)
        elif message.origin == "steer":
            yield partial(Steered, message)
    for outcome in changeset.tool_calls:
        if outcome.outcome != "suspended":
            yield partial(ToolFinished, outcome)
    if changeset.run:
        yield from _ended(changeset, run_id, changeset.run)


def _of_a_person(record: ActionRecord) -> Iterator[Made]:
    """What a person is asked about a call, and has answered."""
    match record.reducer, record.action:
        case "tool_call", ToolCallSuspended.__name__:
            asked = ToolCallSuspended.model_validate(record.payload)
            yield partial(ToolSuspended, asked.call_id, asked.name, asked.suspension)
        case "tool_call", ToolCallDecided.__name__:
            decided = ToolCallDecided.model_validate(record.payload)
            yield partial(ToolDecided, decided.call_id, decided.decision)


def _ended(changeset: Changeset, run_id: str, run: RunFacts) -> Iterator[Made]:
    if run.status != "running" and run.termination:
        result = RunResult(
            run_id=run_id,
            thread_id=changeset.thread_id,
            status=run.status,
            termination=run.termination,
            output=run.output,
            usage=run.usage,
            version=changeset.version,
        )
        yield partial(RunFinished, result)


@dataclass(frozen=True, slots=True)
class Past:
    """The facts of one run that are in the log."""

    log: Log
    run_id: str
    thread_id: str
    first_version: int

    def behind(self, after: Cursor, until: int) -> tuple[list[Fact], Cursor]:
        """The next facts behind a cursor and up to a version, and the place behind which to read on.

        No more than are well read at once: there may be more, even if there are none.

        Raises:
            LogError: as `Log.read`.
        """
        known = max(after.version - 1, 0)
        end = min(known + AT_ONCE, until)
        history = self.log.read(self.thread_id, after=known, until=end)
        with as_written(self.log.path):
            own = (changeset for changeset in history if changeset.run_id == self.run_id)
            found = [fact for changeset in own for fact in facts(changeset) if fact.cursor > after]
        return found, max(after, Cursor.behind(end))
