"""What is written of a run whose process died: one changeset, behind the last one that it has written itself.

    stop      it is done: stopped, or cancelled if somebody wanted that; code `orphaned`. It may be resumed
    ask       it waits for a person: suspended, code `orphaned`
    resume    it waits for a process that has its agent: suspended, code `recovered`; that goes on at once

An open call (reducers/open_calls.py) becomes

                     stop                 ask                          resume
    unknown          told: unknown        asked: recover_agent_run     idempotent: called again; else told
    not started      told: not started    told: not started            called
    suspended        told: not started    still asked                  still asked
    decided          told: not started    goes on                      goes on

A call that is called again goes through its gate again, with the same idempotency key. A person who is asked
about an unknown call answers: *it happened*, approve with its result; *run it again*, approve without one;
*it did not*, deny, and the model is told. Where no call is unknown the question is about the run itself:
approve, and it goes on; deny, and it is stopped. So every orphan asks at least once.

What was wanted of the run is taken in where it is done; where it waits, that waits with it.
"""

from collections.abc import Collection
from typing import Literal

from ...reducers.open_calls import RESULT_TEXTS, going_on
from ...reducers.reduce import Reducers
from ...reducers.replay import Thread
from ...reducers.run import CANCELLED, ENDS, QUESTION, MoveRun, Way
from ...reducers.tool_call import SuspendToolCall, Suspension, ToolCallState, calls, pending_calls
from ...store.changeset import AgentSnapshot, LostCall, Orphan, RunStatus
from ...store.codec import Encoded
from ..commit import LOOP, Collected, Effects, RunIdentity, Workspace, move_call
from .closing import close_run
from .mailbox import Mailbox


class Recovering:
    """A run whose process died, on the way to its last changeset."""

    def __init__(
        self,
        identity: RunIdentity,
        thread: Thread,
        effects: Effects,
        agent: AgentSnapshot | None,
        orphan: Orphan,
    ) -> None:
        self._identity = identity
        self._orphan = orphan
        self._agent = agent
        self._status = thread.runs[identity.run_id]
        self._journal = Collected()
        self._work = Workspace(self._journal, effects, Reducers(), identity, thread, author="recovered")
        found = going_on(thread.state, thread.messages, identity.run_id, agent)
        self._due = {call.call_id for call in found if call.status == "new"}
        """The calls that the run would have made itself."""

    def stopped(self, mailbox: Mailbox) -> Encoded:
        """The run is done, and has taken in all that was wanted of it."""
        for lost in self._orphan.calls:
            self._write_result(lost)
        # That somebody wanted it to be over wins over every other end.
        end = CANCELLED if mailbox.should_stop() else ENDS["stop"]
        return self._written(close_run(self._work, mailbox, self._status, end))

    def asking(self) -> Encoded:
        """The run waits for a person."""
        for lost, call in self._lost():
            if lost.fate == "unknown":
                self._ask(call, f"Was {call.name} called? {_ABOUT_CALL}", "recover_tool_call")
            elif call.call_id in self._due:
                self._close(lost, call)
        if not any(_is_question(call) for call in pending_calls(self._work.state)):
            self._ask_about_run()
        return self._waiting("ask")

    def resuming(self, idempotent: Collection[str]) -> Encoded:
        """The run waits for a process that goes on; the tools with these names may be called again."""
        for lost, call in self._lost():
            if lost.fate == "unknown" and call.name not in idempotent:
                self._close(lost, call)
            elif call.call_id in self._due:
                move_call(self._work, call, "resuming")
        return self._waiting("resume")

    def _lost(self) -> list[tuple[LostCall, ToolCallState]]:
        states = {call.call_id: call for call in calls(self._work.state)}
        return [(lost, states[lost.call_id]) for lost in self._orphan.calls]

    def _close(self, lost: LostCall, call: ToolCallState) -> None:
        self._write_result(lost)
        move_call(self._work, call, "cancelled")

    def _write_result(self, lost: LostCall) -> None:
        if lost.name == QUESTION:
            return  # the model has not made it
        self._work.write("tool", RESULT_TEXTS[lost.fate], "tool", tool_call_id=lost.call_id)

    def _ask_about_run(self) -> None:
        run_id, agent = self._identity.run_id, self._agent.name if self._agent else None
        call = ToolCallState(
            call_id=f"recovery:{run_id}:{self._identity.epoch}",
            name=QUESTION,
            arguments={"run_id": run_id, "agent_id": agent},
        )
        move_call(self._work, call, "new")
        about = f"The process of run {run_id!r} (agent {agent!r}) died. Shall it go on?"
        self._ask(call, about, "use_decision_as_tool_result")

    def _ask(
        self,
        call: ToolCallState,
        message: str,
        mode: Literal["recover_tool_call", "use_decision_as_tool_result"],
    ) -> None:
        suspension = Suspension(
            ticket=self._work.new_id(),
            action=QUESTION,
            message=message,
            parameters=call.arguments,
            resume_mode=mode,
        )
        asked = SuspendToolCall(
            call_id=call.call_id, name=call.name, arguments=call.arguments, suspension=suspension
        )
        self._work.act([asked], source=LOOP, call_id=call.call_id)

    def _waiting(self, way: Way) -> Encoded:
        moved = MoveRun(run_id=self._identity.run_id, status="waiting")
        self._work.act([moved], source=LOOP)
        return self._written(self._status.model_copy(update={"status": "waiting", "termination": ENDS[way]}))

    def _written(self, status: RunStatus) -> Encoded:
        self._work.commit("recovered", run=status, orphan=self._orphan)
        return self._journal.encoded[0]


_ABOUT_CALL = (
    "The process died while it was at work. If it happened, approve with its result; to call it again, "
    "approve without one; if it did not happen and shall not, deny."
)


def _is_question(call: ToolCallState) -> bool:
    return call.suspension is not None and call.suspension.action == QUESTION
