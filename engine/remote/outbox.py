"""The outbox of a remote run: prompts, steering messages and answers to the remote agent, and its questions.

A question of the remote task is a suspended tool call, so that people find and answer it like any other. The
answer is data if the question came with tickets, otherwise text.
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
from .mirror import ASKING, message_ids, questions, status
from .protocol import Task

INPUT = "remote_input"
"""The name of the call by which the remote task asks."""

SUBMISSION = "remote_submission"
"""The name of the call by which the run asks whether a message has arrived."""


class Outbox:
    """Messages from a run to its remote task. Changes wait for the run's next commit."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self.doubtful: set[str] = set()
        """Messages in the outbox that may have been sent."""
        self.unconfirmed: str | None = None
        """The first message in the outbox, if it was sent to the task and the task does not show it yet."""
        self.stop: Termination | None = None
        """The end of the run, if a person decided that it shall not continue."""

    def doubt_all(self) -> None:
        """Mark all messages as possibly sent: the previous epoch may have sent them."""
        self.doubtful |= {message.id for message in remote_task(self._work.state).outbox}

    def is_confirmed_by(self, task: Task) -> bool:
        """Return whether a task shows the message that was unconfirmed."""
        return self.unconfirmed is not None and self.unconfirmed in message_ids(task)

    def say(self, messages: Iterable[Message]) -> None:
        """Queue the messages of the user; they also answer what the task asked in words."""
        parts: list[JsonValue] = [{"text": message.content} for message in messages if message.role == "user"]
        if parts:
            self._send(parts)
            for call in pending_calls(self._work.state):
                if call.name == INPUT and not _ticket(call):
                    move_call(self._work, call, "cancelled")

    def answer(self) -> None:
        """Queue or carry out a decision."""
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
        """Ask a person what the task asks now, and withdraw what it no longer asks."""
        asked = list(questions(task, self._work.identity.run_id)) if status(task) in ASKING else []
        ids = {id for id, _, _ in asked}
        for call in pending_calls(self._work.state):
            if call.name == INPUT and call.call_id not in ids:
                move_call(self._work, call, "cancelled")
        known = {call.call_id for call in calls(self._work.state)}
        for id, arguments, suspension in asked:
            # An answered question is seen again until the server has read the answer.
            if id not in known:
                self._ask(id, INPUT, arguments, suspension)

    def ask_whether_it_arrived(self, message: Outgoing, why: str) -> None:
        """Ask a person whether a message has arrived, because the server does not say."""
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
    """The question's own, if the remote asked by ticket."""
    return call.arguments.get("target") if isinstance(call.arguments, dict) else None


def _in_words(decision: DecisionRecord) -> str:
    if isinstance(decision.result, str):
        return decision.result
    if decision.result is not None:
        return dumps(decision.result).decode()
    return decision.reason or ("yes" if decision.approved else "no")
