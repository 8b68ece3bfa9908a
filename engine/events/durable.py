"""Durable events from changesets. Pure: what is published live equals what is read from the log later."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Self

from ...reducers.sub_agent import StartSubAgent
from ...reducers.tool_call import DecideToolCall, SuspendToolCall
from ...store.changeset import ActionRecord, Changeset, Message, RunStatus, TrackedPatch
from ...store.errors import NotFound
from ...store.history import Entry, as_written
from ...store.log import Log
from .cursor import Cursor
from .event import (
    AssistantTurn,
    ChildStarted,
    DurableEvent,
    RunFinished,
    RunResult,
    RunResumed,
    RunStarted,
    StateChanged,
    Steered,
    StepFinished,
    ToolCallDecided,
    ToolCallFinished,
    ToolCallSuspended,
)

BATCH = 50
"""Changesets read from the log before other tasks get a turn."""

Unplaced = Callable[[Cursor], DurableEvent]
"""An event without its cursor."""


def durable_events(entry: Entry) -> list[DurableEvent]:
    """Return the events of a changeset, in order; none if it belongs to no run."""
    changeset = entry.changeset
    found = _events(changeset, changeset.run_id) if changeset.run_id else ()
    return [place(Cursor(entry.position, number)) for number, place in enumerate(found)]


def _events(changeset: Changeset, run_id: str) -> Iterator[Unplaced]:
    if changeset.reason == "run_started":
        yield partial(RunStarted, run_id, changeset.thread_id)
    if changeset.reason == "run_resumed":
        yield partial(RunResumed, run_id, changeset.thread_id)
    for record in changeset.actions:
        yield from _of_action(record)
    for message in changeset.messages:
        yield from _of_message(message)
    for outcome in changeset.tool_calls:
        if outcome.outcome != "suspended":
            yield partial(ToolCallFinished, outcome)
    for patch in changeset.patches:
        yield from _of_patch(patch)
    if (step := _finished_step(changeset)) is not None:
        yield partial(StepFinished, step)
    if changeset.run:
        yield from _of_status(changeset, run_id, changeset.run)


def _of_action(record: ActionRecord) -> Iterator[Unplaced]:
    match record.reducer, record.action:
        case "tool_call", SuspendToolCall.__name__:
            asked = SuspendToolCall.model_validate(record.payload)
            yield partial(ToolCallSuspended, asked.call_id, asked.name, asked.suspension)
        case "tool_call", DecideToolCall.__name__:
            decided = DecideToolCall.model_validate(record.payload)
            yield partial(ToolCallDecided, decided.call_id, decided.decision)
        case "sub_agents", StartSubAgent.__name__:
            child = StartSubAgent.model_validate(record.payload)
            yield partial(ChildStarted, child.run_id, child.thread_id, child.agent_id, child.epoch)


def _of_message(message: Message) -> Iterator[Unplaced]:
    if message.role == "assistant":
        yield partial(AssistantTurn, message)
    elif message.origin == "steer":
        yield partial(Steered, message)


def _of_patch(patch: TrackedPatch) -> Iterator[Unplaced]:
    operations = tuple(each for each in patch.operations if not str(each["path"]).startswith("/__"))
    if operations:
        yield partial(StateChanged, operations, patch.source)


def _finished_step(changeset: Changeset) -> int | None:
    """The step that a changeset completes: with an answer that calls no tool, or with the last result."""
    answers = (m for m in changeset.messages if m.origin == "model" and not m.tool_calls)
    is_turn = changeset.reason == "assistant_turn"
    return next((m.step for m in answers if is_turn), changeset.finished_step)


def _of_status(changeset: Changeset, run_id: str, run: RunStatus) -> Iterator[Unplaced]:
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


def run_events(log: Log, run_id: str) -> Iterator[DurableEvent]:
    """Yield the durable events of a run that are in the log now, in order.

    Raises:
        NotFound: there is no such run.
        LogError: as `Log.read`.
    """
    row = log.run(run_id)
    if row is None:
        raise NotFound(f"there is no run {run_id!r} in this log")
    head = log.position(row.thread_id)
    past = Past.of(log, run_id, row.thread_id, row.first_version)
    cursor = past.start
    while cursor < Cursor.after(head):
        events, cursor = past.after(cursor, head)
        yield from events


@dataclass(frozen=True, slots=True)
class Past:
    """The durable events of one run that are in the log."""

    log: Log
    run_id: str
    thread_id: str
    start: Cursor
    """A cursor before the first of them."""

    @classmethod
    def of(cls, log: Log, run_id: str, thread_id: str, first_version: int) -> Self:
        """Return the events of a run that begins with a version of its thread."""
        return cls(log, run_id, thread_id, Cursor.before(log.position_of(thread_id, first_version)))

    def after(self, cursor: Cursor, until: int) -> tuple[list[DurableEvent], Cursor]:
        """Return the next events after a cursor, up to a log position, and the cursor to continue from.

        At most one batch of changesets is read: there may be more, even if it holds no event.

        Raises:
            LogError: as `Log.read`.
        """
        entries = self.log.thread_entries(self.thread_id, max(cursor.position - 1, 0), until, BATCH)
        with as_written(self.log.path):
            own = (entry for entry in entries if entry.changeset.run_id == self.run_id)
            found = [event for entry in own for event in durable_events(entry) if event.cursor > cursor]
        end = entries[-1].position if len(entries) == BATCH else until
        return found, max(cursor, Cursor.after(end))
