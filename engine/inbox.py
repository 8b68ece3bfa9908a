"""Decisions on their way into a run: from whoever made them to the calls they are for."""

from ..reducers.decision import DecisionKept, DecisionTaken, kept
from ..reducers.tool_call import DecisionRecord, ToolCallDecided, ToolCallState, calls, pending
from .control import Control
from .workspace import LOOP, Workspace


class Inbox:
    """Takes in what was decided. All that it does waits for the run's next commit."""

    def __init__(self, work: Workspace, control: Control) -> None:
        self._work = work
        self._control = control

    def take_in(self) -> None:
        """Each decision goes to the suspended call it is for; an early one is kept until there is one."""
        for record in kept(self._work.state):
            if call := self._target(record.target):
                self._work.act([DecisionTaken(target=record.target)], source=LOOP)
                self._decide(call, record)
        for decision in self._control.take():
            if call := self._target(decision.target):
                self._decide(
                    call, decision.record(call.suspension.ticket if call.suspension else call.call_id)
                )
            elif not self._is_answered(decision.target):
                self._work.act([DecisionKept(decision=decision.record(decision.target))], source=LOOP)

    def keep_all(self) -> None:
        """The run is at its end: what is still on its way is recorded, too."""
        for decision in self._control.take():
            self._work.act([DecisionKept(decision=decision.record(decision.target))], source=LOOP)

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
