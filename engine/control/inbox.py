"""Applies commands to a run: decisions to their calls, steering messages to the conversation."""

from ...reducers.decision import KeepDecision, RemoveDecision, kept_decisions
from ...reducers.run import ApplyCommands
from ...reducers.tool_call import DecideToolCall, DecisionRecord, ToolCallState, calls, pending_calls
from ...store.changeset import ControlEntry, Message
from ..commit import LOOP, Workspace
from .decision import decision_record
from .mailbox import ApplyPoint, Mailbox


class Inbox:
    """Applies a run's commands in order. The changes become durable with the run's next commit."""

    def __init__(self, work: Workspace, mailbox: Mailbox) -> None:
        self._work = work
        self._mailbox = mailbox

    def has_commands(self, point: ApplyPoint) -> bool:
        """Return whether there are unread commands that may be applied at this point."""
        return bool(self._mailbox.commands(self._work.control_version(), point))

    def apply(self, point: ApplyPoint) -> bool:
        """Apply the unread commands. Return whether one of them was a steering message.

        A decision is applied to the suspended call that it names. If there is none yet, the decision is kept
        and applied by a later call of this method.
        """
        for record in kept_decisions(self._work.state):
            if call := self._target(record.target):
                self._work.act([RemoveDecision(target=record.target)], source=LOOP)
                self._decide(call, record)
        entries = self._next(point)
        for entry in entries:
            self._apply(entry)
        return any(entry.kind == "steer" for entry in entries)

    def skip(self, point: ApplyPoint) -> None:
        """Mark the unread commands as applied without applying them, because the changes cannot be stored."""
        self._next(point)

    def _next(self, point: ApplyPoint) -> list[ControlEntry]:
        entries = self._mailbox.commands(self._work.control_version(), point)
        if entries:
            self._work.act([ApplyCommands(through=entries[-1][0], place=point)], source=LOOP)
        return [entry for _, entry in entries]

    def _apply(self, entry: ControlEntry) -> None:
        match entry.kind:
            case "decide":
                self._apply_decision(decision_record(entry))
            case "steer":
                self._work.add_message(_steering(self._work.identity.run_id, entry))

    def _apply_decision(self, record: DecisionRecord) -> None:
        if call := self._target(record.target):
            self._decide(call, record)
        elif not self._is_answered(record.target):
            self._work.act([KeepDecision(decision=record)], source=LOOP)

    def _is_answered(self, target: str) -> bool:
        """Whether the call is decided: then a decision must not be kept for a later call with the same id."""
        return any(target in _names(call) for call in calls(self._work.state) if call.decision)

    def _target(self, target: str) -> ToolCallState | None:
        """Return the suspended call that a decision names."""
        return next((call for call in pending_calls(self._work.state) if target in _names(call)), None)

    def _decide(self, call: ToolCallState, record: DecisionRecord) -> None:
        self._work.act(
            [DecideToolCall(call_id=call.call_id, decision=record)], source=LOOP, call_id=call.call_id
        )


def _steering(run_id: str, entry: ControlEntry) -> Message:
    # Callers choose the ids of commands. The prefix keeps them apart from other message ids of the run.
    return Message(
        id=f"{run_id}:steer:{entry.id}",
        role="user",
        content=str(entry.content),
        origin="steer",
        command_id=entry.id,
        run_id=run_id,
    )


def _names(call: ToolCallState) -> tuple[str, ...]:
    """Return the names by which a decision may refer to the call."""
    return (call.call_id, call.suspension.ticket) if call.suspension else (call.call_id,)
