"""Decisions: what a person says about a suspended tool call."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from ...reducers.decision import KeepDecision
from ...reducers.tool_call import (
    DecideToolCall,
    DecisionRecord,
    SuspendToolCall,
    ToolCallState,
    pending_calls,
)
from ...store.changeset import ActionRecord, Changeset, ControlEntry
from ...store.document import dumps, loads, same
from ...store.errors import ContentError, RunError
from ..agents import summarize_errors


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer to a suspended call, named by its call id or its ticket."""

    target: str
    approved: bool
    result: Any = None
    reason: str | None = None
    by: str | None = None
    id: str | None = None

    @classmethod
    def approve(
        cls, call_id: str, result: Any = None, *, by: str | None = None, id: str | None = None
    ) -> "Decision":
        """Let the call go on; `result` is what else the person said, as JSON."""
        return cls(call_id, True, result, None, by, id)

    @classmethod
    def deny(
        cls,
        call_id: str,
        reason: str | None = None,
        *,
        result: Any = None,
        by: str | None = None,
        id: str | None = None,
    ) -> "Decision":
        """Refuse the call; the model is told the reason. `result` is what else the person said, as JSON."""
        return cls(call_id, False, result, reason, by, id)

    def record(self, ticket: str) -> DecisionRecord:
        """As it is kept. Without an id of its own the answer's id is made from the ticket: it counts once.

        Raises:
            ContentError: it holds what the log cannot keep, or something else than yes or no.
        """
        given = asdict(self) | {"id": self.id or f"decision:{ticket}"}
        try:
            # As it comes back from the log: its keys in order, so that a replay sees the same. Strict: a
            # text such as "no" is not guessed at.
            return DecisionRecord.model_validate(loads(dumps(given)), strict=True)
        except ValidationError as err:
            raise ContentError(
                f"the decision about {self.target!r} cannot be kept: {summarize_errors(err)}"
            ) from err


def decision_record(entry: ControlEntry) -> DecisionRecord:
    """The decision that an entry of a control stream is."""
    given = entry.content if isinstance(entry.content, dict) else {}
    return DecisionRecord.model_validate(given | {"id": entry.id, "by": entry.by})


class KnownDecisions:
    """What the log of a run says of its questions: each is answered once."""

    def __init__(self, history: Iterable[Changeset], wanted: Iterable[ControlEntry]) -> None:
        """From the run's history, and from what stands behind it on the run's control stream."""
        self._tickets: dict[str, str] = {}
        """Of each call, the last."""
        self._given: dict[str, Decision | DecisionRecord] = {}
        """By ticket; by call, as long as there is none."""
        for changeset in history:
            for record in changeset.actions:
                self._read(record)
        for entry in wanted:
            if entry.kind == "decide":
                answer = decision_record(entry)
                self._given[self._key(answer.target)] = answer

    def _read(self, record: ActionRecord) -> None:
        match record.action:
            case SuspendToolCall.__name__ if record.reducer == "tool_call":
                asked = SuspendToolCall.model_validate(record.payload)
                self._tickets[asked.call_id] = asked.suspension.ticket
            case DecideToolCall.__name__ if record.reducer == "tool_call":
                decided = DecideToolCall.model_validate(record.payload)
                self._given[self._key(decided.call_id)] = decided.decision
            case KeepDecision.__name__ if record.reducer == "decisions":
                kept = KeepDecision.model_validate(record.payload).decision
                self._given[self._key(kept.target)] = kept

    def _key(self, target: str) -> str:
        return self._tickets.get(target, target)

    def entry(self, decision: Decision, place: int) -> ControlEntry:
        """A decision for the control stream, at a place there.

        Without an id of its own it gets one from its question; before there is one, from its place.
        """
        ticket = self._tickets.get(decision.target, f"{decision.target}:{place}")
        record = decision.record(ticket)
        content = record.model_dump(exclude={"id", "by"})
        return ControlEntry(id=record.id, kind="decide", by=record.by, content=content)

    def new(self, decisions: Iterable[Decision]) -> list[Decision]:
        """The decisions that were not given before; those that were are left out. Now they are all given.

        Raises:
            RunError: a question has another answer already.
            ContentError: a decision holds what the log cannot keep.
        """
        found = []
        for decision in decisions:
            decision.record(decision.target)
            key = self._key(decision.target)
            if key not in self._given:
                self._given[key] = decision
                found.append(decision)
            elif not _is_same(self._given[key], decision):
                raise RunError(f"{decision.target!r} is decided already, otherwise: it cannot be taken back")
        return found


def _is_same(known: Decision | DecisionRecord, decision: Decision) -> bool:
    return same(
        [known.approved, known.result, known.reason], [decision.approved, decision.result, decision.reason]
    )


def check_targets(decisions: Sequence[Decision], state: Any, run_id: str) -> None:
    """Pass if every decision is for a suspended call.

    Raises:
        RunError: one is not; nothing was written.
    """
    known = {name for call in pending_calls(state) for name in (call.call_id, _ticket(call))}
    for decision in decisions:
        if decision.target not in known:
            raise RunError(
                f"run {run_id!r} asks nothing about {decision.target!r}; it asks about {sorted(known)}"
            )


def _ticket(call: ToolCallState) -> str:
    return call.suspension.ticket if call.suspension else call.call_id
