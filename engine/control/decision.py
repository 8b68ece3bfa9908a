"""Decisions about suspended tool calls: how they are stored, and which of them are new."""

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
    """A person's answer to a suspended call. `target` is the call id or the ticket."""

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
        """Approve the call. `result` is additional data, as JSON."""
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
        """Deny the call. The model reads the reason. `result` is additional data, as JSON."""
        return cls(call_id, False, result, reason, by, id)

    def record(self, ticket: str) -> DecisionRecord:
        """Return the decision as it is stored. If it has no id, the id is derived from the ticket.

        Raises:
            ContentError: a value cannot be stored, or `approved` is not a bool.
        """
        fields = asdict(self) | {"id": self.id or f"decision:{ticket}"}
        try:
            # Encode and decode once, for the same order of keys as in a replay. Strict, so that a text such
            # as "no" is not converted.
            return DecisionRecord.model_validate(loads(dumps(fields)), strict=True)
        except ValidationError as err:
            raise ContentError(
                f"the decision about {self.target!r} cannot be stored: {summarize_errors(err)}"
            ) from err


def decision_record(entry: ControlEntry) -> DecisionRecord:
    """Return the decision in an entry of a control stream."""
    content = entry.content if isinstance(entry.content, dict) else {}
    return DecisionRecord.model_validate(content | {"id": entry.id, "by": entry.by})


class KnownDecisions:
    """The decisions that a run has received. Each question is answered once."""

    def __init__(self, history: Iterable[Changeset], unread: Iterable[ControlEntry]) -> None:
        """Read the run's changesets, and the commands that they have not applied."""
        self._tickets: dict[str, str] = {}
        """The ticket of each call's last question."""
        self._decisions: dict[str, Decision | DecisionRecord] = {}
        """By ticket, or by call id if the call has not asked yet."""
        for changeset in history:
            for record in changeset.actions:
                self._read(record)
        for entry in unread:
            if entry.kind == "decide":
                self._add(decision_record(entry))

    def _read(self, record: ActionRecord) -> None:
        match record.action:
            case SuspendToolCall.__name__ if record.reducer == "tool_call":
                suspended = SuspendToolCall.model_validate(record.payload)
                self._tickets[suspended.call_id] = suspended.suspension.ticket
            case DecideToolCall.__name__ if record.reducer == "tool_call":
                decided = DecideToolCall.model_validate(record.payload)
                self._decisions[self._key(decided.call_id)] = decided.decision
            case KeepDecision.__name__ if record.reducer == "decisions":
                self._add(KeepDecision.model_validate(record.payload).decision)

    def _add(self, record: DecisionRecord) -> None:
        self._decisions[self._key(record.target)] = record

    def _key(self, target: str) -> str:
        return self._tickets.get(target, target)

    def to_entry(self, decision: Decision, position: int) -> ControlEntry:
        """Return the decision as an entry of the control stream, where `position` entries precede it.

        If it has no id, the id is derived from the ticket, or from the position if there is no ticket yet.
        """
        ticket = self._tickets.get(decision.target, f"{decision.target}:{position}")
        record = decision.record(ticket)
        content = record.model_dump(exclude={"id", "by"})
        return ControlEntry(id=record.id, kind="decide", by=record.by, content=content)

    def add_new(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Add the decisions, and return those that are not repetitions.

        Raises:
            RunError: a question already has a different answer.
            ContentError: a decision cannot be stored.
        """
        new = []
        for decision in decisions:
            decision.record(decision.target)
            key = self._key(decision.target)
            if key not in self._decisions:
                self._decisions[key] = decision
                new.append(decision)
            elif not _is_same(self._decisions[key], decision):
                raise RunError(f"{decision.target!r} is already decided: a decision cannot be changed")
        return new


def _is_same(known: Decision | DecisionRecord, decision: Decision) -> bool:
    return same(
        [known.approved, known.result, known.reason], [decision.approved, decision.result, decision.reason]
    )


def check_targets(decisions: Sequence[Decision], state: Any, run_id: str) -> None:
    """Check that every decision is for a call that waits for one.

    Raises:
        RunError: a target is no pending call.
    """
    pending = {name for call in pending_calls(state) for name in (call.call_id, _ticket(call))}
    for decision in decisions:
        if decision.target not in pending:
            raise RunError(
                f"run {run_id!r} is not waiting for a decision about {decision.target!r}: "
                f"it is waiting for {sorted(pending)}"
            )


def _ticket(call: ToolCallState) -> str:
    return call.suspension.ticket if call.suspension else call.call_id
