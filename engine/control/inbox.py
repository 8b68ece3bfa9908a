"""What is wanted of a run on its way into it: decisions to the calls they are for, words to the model."""

from ...reducers.decision import DecisionKept, DecisionTaken, kept
from ...reducers.run import ControlTaken
from ...reducers.tool_call import DecisionRecord, ToolCallDecided, ToolCallState, calls, pending
from ...store.changeset import ControlEntry, Message, steering_id
from ..commit import LOOP, Workspace
from .decision import recorded
from .mailbox import Control, Place


class Inbox:
    """Takes in what was wanted, in order. All that it does waits for the run's next commit."""

    def __init__(self, work: Workspace, control: Control) -> None:
        self._work = work
        self._control = control

    def has_news(self, place: Place) -> bool:
        """Whether something has come that was not taken in."""
        return bool(self._control.entries(self._work.control_taken(), place))

    def take_in(self, place: Place) -> bool:
        """Take in all that has come, and what was kept for a call that asks now: whether the user spoke.

        Each decision goes to the suspended call it is for; an early one is kept until there is one.
        """
        for record in kept(self._work.state):
            if call := self._target(record.target):
                self._work.act([DecisionTaken(target=record.target)], source=LOOP)
                self._decide(call, record)
        entries = self._noted(place)
        for _, entry in entries:
            self._take(entry)
        return any(entry.kind == "steer" for _, entry in entries)

    def pass_over(self, place: Place) -> None:
        """Let go by what has come: what it would do cannot be kept."""
        self._noted(place)

    def _noted(self, place: Place) -> list[tuple[int, ControlEntry]]:
        entries = self._control.entries(self._work.control_taken(), place)
        if entries:
            self._work.act([ControlTaken(through=entries[-1][0], place=place)], source=LOOP)
        return entries

    def _take(self, entry: ControlEntry) -> None:
        identity = self._work.identity
        match entry.kind:
            case "decide":
                self._take_decision(recorded(entry))
            case "steer":
                id = steering_id(identity.run_id, entry.id)
                self._work.say(
                    Message(id=id, role="user", content=str(entry.content), run_id=identity.run_id)
                )

    def _take_decision(self, record: DecisionRecord) -> None:
        if call := self._target(record.target):
            self._decide(call, record)
        elif not self._is_answered(record.target):
            self._work.act([DecisionKept(decision=record)], source=LOOP)

    def _is_answered(self, target: str) -> bool:
        """Whether the call has its answer: one more must not wait for a later call of the same id."""
        return any(target in _names(call) for call in calls(self._work.state) if call.decision)

    def _target(self, target: str) -> ToolCallState | None:
        """The suspended call that a decision is for."""
        return next((call for call in pending(self._work.state) if target in _names(call)), None)

    def _decide(self, call: ToolCallState, record: DecisionRecord) -> None:
        self._work.act(
            [ToolCallDecided(call_id=call.call_id, decision=record)], source=LOOP, call_id=call.call_id
        )


def _names(call: ToolCallState) -> tuple[str, ...]:
    """What a decision may call it."""
    return (call.call_id, call.suspension.ticket) if call.suspension else (call.call_id,)
