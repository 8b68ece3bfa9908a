"""What is said to a remote agent, and what it asks: prompts, steering and answers become its outbox.

A question of the remote task is a suspended call as any other, so that people find and answer it in the same
way. The answer is data where it asked by tickets of its own, else a text.
"""

from collections.abc import Iterable

from pydantic import JsonValue

from ...reducers.remote import Outgoing, RecordRemoteTask, SendToRemote, remote_task
from ...reducers.tool_call import (
    DecisionRecord,
    SuspendToolCall,
    Suspension,
    ToolCallState,
    calls,
    pending_calls,
)
from ...store.changeset import Message, Termination
from ...store.document import dumps
from ..commit import LOOP, Workspace, move_call
from .mirror import ASKING, questions, status
from .protocol import Task

INPUT = "remote_input"
"""The call by which the remote task asks."""

SUBMISSION = "remote_submission"
"""The call by which the run itself asks whether a message has arrived."""


class Outbox:
    """Between a run and its remote task. All that it does waits for the run's next commit."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self.doubtful: set[str] = set()
        """Messages in the outbox that may have been sent."""
        self.stop: Termination | None = None
        """That a person does not want the run to go on."""

    def doubt_all(self) -> None:
        """An epoch begins: what is in the outbox may have been sent by the one before."""
        self.doubtful |= {message.id for message in remote_task(self._work.state).outbox}

    def say(self, messages: Iterable[Message]) -> None:
        """What the user says is to be sent; what the task asked in words is answered by it."""
        parts: list[JsonValue] = [{"text": message.content} for message in messages if message.role == "user"]
        if parts:
            self._send(parts)
            for call in pending_calls(self._work.state):
                if call.name == INPUT and not _ticket(call):
                    move_call(self._work, call, "cancelled")

    def answer(self) -> None:
        """What was decided is to be sent, or done."""
        decided = [(call, call.decision) for call in calls(self._work.state) if call.status == "resuming"]
        by_ticket: list[JsonValue] = []
        for call, decision in decided:
            if decision is None:
                continue
            if call.name == SUBMISSION:
                self._settle(call, decision)
            elif ticket := _ticket(call):
                answer = decision.model_dump(include={"approved", "result", "reason"})
                by_ticket.append({"target": ticket, **answer})
            else:
                self._send([{"text": _in_words(decision)}])
            move_call(self._work, call, "succeeded")
        if by_ticket:
            self._send([{"data": {"decisions": by_ticket}}])

    def ask_what_it_asks(self, task: Task) -> None:
        """Ask a person what the task asks now; what it does not ask any more is not asked any more."""
        asked = list(questions(task, self._work.identity.run_id)) if status(task) in ASKING else []
        ids = {id for id, _, _ in asked}
        for call in pending_calls(self._work.state):
            if call.name == INPUT and call.call_id not in ids:
                move_call(self._work, call, "cancelled")
        known = {call.call_id for call in calls(self._work.state)}
        for id, arguments, suspension in asked:
            # One that was answered is seen again, until the server has taken the answer in.
            if id not in known:
                self._ask(id, INPUT, arguments, suspension)

    def ask_whether_it_arrived(self, message: Outgoing, why: str) -> None:
        """Ask a person, where nobody else knows."""
        remote = remote_task(self._work.state)
        about = {"message": message.id, "context": remote.context}
        suspension = Suspension(
            ticket=self._work.new_id(),
            action="remote:unknown",
            message=f"Whether the message has reached the remote agent is not known: {why}. Approve with the "
            "id of the task that it has begun; approve without one to send it again; deny to stop the run.",
            parameters=dict(about),
            response_schema={"type": ["string", "null"], "description": "the id of the task"},
            resume_mode="pass_decision_to_tool",
        )
        self._ask(self._work.new_id(), SUBMISSION, dict(about), suspension)

    def _settle(self, call: ToolCallState, decision: DecisionRecord) -> None:
        message = call.arguments["message"] if isinstance(call.arguments, dict) else None
        if not decision.approved:
            why = decision.reason or "it is not known whether the message has reached the remote agent"
            self.stop = Termination(type="stopped", code="denied", detail=why)
        elif isinstance(decision.result, str):
            seen = RecordRemoteTask(task=decision.result, context="", status="unknown", arrived=str(message))
            self._work.act([seen], source=LOOP)
        else:
            self.doubtful.discard(str(message))

    def _send(self, parts: list[JsonValue]) -> None:
        message = Outgoing(id=self._work.new_id(), parts=tuple(parts))
        self._work.act([SendToRemote(context=self._work.identity.thread_id, message=message)], source=LOOP)

    def _ask(self, id: str, name: str, arguments: dict[str, JsonValue], suspension: Suspension) -> None:
        asked = SuspendToolCall(call_id=id, name=name, arguments=arguments, suspension=suspension)
        move_call(self._work, ToolCallState(call_id=id, name=name, arguments=arguments), "new")
        self._work.act([asked], source=LOOP, call_id=id)


def _ticket(call: ToolCallState) -> JsonValue:
    """The remote's own, if it has asked by one."""
    return call.arguments.get("target") if isinstance(call.arguments, dict) else None


def _in_words(decision: DecisionRecord) -> str:
    if isinstance(decision.result, str):
        return decision.result
    if decision.result is not None:
        return dumps(decision.result).decode()
    return decision.reason or ("yes" if decision.approved else "no")
