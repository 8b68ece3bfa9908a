"""The end of an epoch whose process died: one changeset, written by another process after the run's last one.

    stop      the run is done: stopped, or cancelled if a cancel was requested; code `orphaned`
    ask       the run waits for a person: suspended, code `orphaned`
    resume    the run waits for a process that has its agent: suspended, code `recovered`

What happens to an open call (reducers/open_calls.py):

                     stop                  ask                   resume
    unknown          note: unknown         question              idempotent: runs again; else note: unknown
    not started      note: not started     note: not started     runs
    suspended        note: not started     question stays        question stays
    decided          note: not started     continues             continues

A note is the tool message that closes a call for the model. A call that runs again passes its gate again, and
keeps its idempotency key. The question about an unknown call has three answers: approve with a result if the
call took effect, approve without one to run it again, deny to close it. If no call is unknown, the question
is about the run itself: approve to continue, deny to stop. So `ask` asks at least one question.

A stopped run has applied all of its commands, and can be resumed. The commands of a waiting run stay unread
until it resumes.
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
from ..commit import LOOP, Effects, MemoryJournal, RunIdentity, Workspace, move_call
from .closing import close_run
from .mailbox import Mailbox

_ABOUT_CALL = (
    "Did this call take effect? The process died while it was running. If it did, approve with its result. "
    "To run it again, approve without a result. To skip it, deny."
)


class CrashedRun:
    """A run whose process died. Each method returns its recovery as an encoded changeset: call only one."""

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
        self._journal = MemoryJournal()
        self._work = Workspace(self._journal, effects, Reducers(), identity, thread, author="recovered")
        current = going_on(thread.state, thread.messages, identity.run_id, agent)
        self._undecided = {call.call_id for call in current if call.status == "new"}
        """Ids of the calls in the interrupted round that needed no decision."""

    def stop(self, mailbox: Mailbox) -> Encoded:
        """End the run, and apply all of its commands."""
        for lost in self._orphan.calls:
            self._write_note(lost)
        # A cancel takes precedence over every other end.
        end = CANCELLED if mailbox.should_stop() else ENDS["stop"]
        return self._commit(close_run(self._work, mailbox, self._status, end))

    def ask(self) -> Encoded:
        """Suspend the run until a person decides."""
        for lost, call in self._lost_calls():
            if lost.fate == "unknown":
                self._suspend(call, f"{call.name}: {_ABOUT_CALL}", "recover_tool_call")
            elif call.call_id in self._undecided:
                self._close_call(lost, call)
        if not any(_is_question(call) for call in pending_calls(self._work.state)):
            self._ask_about_run()
        return self._wait("ask")

    def resume(self, idempotent: Collection[str]) -> Encoded:
        """Suspend the run until a process resumes it. `idempotent` names the tools that may run again."""
        for lost, call in self._lost_calls():
            if lost.fate == "unknown" and call.name not in idempotent:
                self._close_call(lost, call)
            elif call.call_id in self._undecided:
                move_call(self._work, call, "resuming")
        return self._wait("resume")

    def _lost_calls(self) -> list[tuple[LostCall, ToolCallState]]:
        states = {call.call_id: call for call in calls(self._work.state)}
        return [(lost, states[lost.call_id]) for lost in self._orphan.calls]

    def _close_call(self, lost: LostCall, call: ToolCallState) -> None:
        self._write_note(lost)
        move_call(self._work, call, "cancelled")

    def _write_note(self, lost: LostCall) -> None:
        if lost.name == QUESTION:
            return  # a question about the run: the model did not make this call
        self._work.create_message("tool", RESULT_TEXTS[lost.fate], "tool", tool_call_id=lost.call_id)

    def _ask_about_run(self) -> None:
        run_id, agent = self._identity.run_id, self._agent.name if self._agent else None
        call = ToolCallState(
            call_id=f"recovery:{run_id}:{self._identity.epoch}",
            name=QUESTION,
            arguments={"run_id": run_id, "agent_id": agent},
        )
        move_call(self._work, call, "new")
        question = f"The process of run {run_id!r} (agent {agent!r}) died. Approve to continue, deny to stop."
        self._suspend(call, question, "use_decision_as_tool_result")

    def _suspend(
        self,
        call: ToolCallState,
        question: str,
        mode: Literal["recover_tool_call", "use_decision_as_tool_result"],
    ) -> None:
        suspension = Suspension(
            ticket=self._work.new_id(),
            action=QUESTION,
            message=question,
            parameters=call.arguments,
            resume_mode=mode,
        )
        suspended = SuspendToolCall(
            call_id=call.call_id, name=call.name, arguments=call.arguments, suspension=suspension
        )
        self._work.act([suspended], source=LOOP, call_id=call.call_id)

    def _wait(self, way: Way) -> Encoded:
        moved = MoveRun(run_id=self._identity.run_id, status="waiting")
        self._work.act([moved], source=LOOP)
        return self._commit(self._status.model_copy(update={"status": "waiting", "termination": ENDS[way]}))

    def _commit(self, status: RunStatus) -> Encoded:
        self._work.commit("recovered", run=status, orphan=self._orphan)
        return self._journal.encoded[0]


def _is_question(call: ToolCallState) -> bool:
    return call.suspension is not None and call.suspension.action == QUESTION
