"""The outbox of a remote run: prompts, steering messages and answers to the remote agent, and its questions.

A question of the remote task is a suspended tool call, so people find and answer it like any other. The
answer is sent as data if the question has a ticket, otherwise as text.
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
from .mirror import AWAITING_INPUT, message_ids, questions, status
from .protocol import Task

INPUT = "remote_input"
"""The name of the call for a question of the remote task."""

SUBMISSION = "remote_submission"
"""The name of the call for the question whether a message has arrived."""


class Outbox:
    """Messages from a run to its remote task. Changes are written with the run's next commit."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self.doubtful: set[str] = set()
        """Messages in the outbox that may have been sent."""
        self.unconfirmed: str | None = None
        """The first message in the outbox, if it was sent to the task and the task does not show it yet."""
        self.termination: Termination | None = None
        """The end of the run, if a person has stopped it."""

    def doubt_every_message(self) -> None:
        """Mark every message as doubtful, because the previous epoch may have sent it."""
        self.doubtful |= {message.id for message in remote_task(self._work.state).outbox}

    def is_confirmed_by(self, task: Task) -> bool:
        """Return whether a task shows the unconfirmed message."""
        return self.unconfirmed is not None and self.unconfirmed in message_ids(task)

    def add_messages(self, messages: Iterable[Message]) -> None:
        """Queue the messages of the user. They also answer questions without a ticket."""
        parts: list[JsonValue] = [{"text": message.content} for message in messages if message.role == "user"]
        if parts:
            self._queue(parts)
            for call in pending_calls(self._work.state):
                if call.name == INPUT and not _ticket(call):
                    move_call(self._work, call, "cancelled")

    def apply_decisions(self) -> None:
        """Apply the decisions of people: queue the answers to the task's questions."""
        decided = [(call, call.decision) for call in calls(self._work.state) if call.status == "resuming"]
        by_ticket: list[JsonValue] = []
        for call, decision in decided:
            if decision is None:
                continue
            if call.name == SUBMISSION:
                self._resolve_delivery(call, decision)
            elif ticket := _ticket(call):
                answer = decision.model_dump(include={"approved", "result", "reason"})
                by_ticket.append({"target": ticket, **answer})
            else:
                self._queue([{"text": _decision_text(decision)}])
            move_call(self._work, call, "succeeded")
        if by_ticket:
            self._queue([{"data": {"decisions": by_ticket}}])

    def update_questions(self, task: Task) -> None:
        """Add the questions that the task asks now, and withdraw those that it no longer asks."""
        asked = list(questions(task, self._work.identity.run_id)) if status(task) in AWAITING_INPUT else []
        ids = {id for id, _, _ in asked}
        for call in pending_calls(self._work.state):
            if call.name == INPUT and call.call_id not in ids:
                move_call(self._work, call, "cancelled")
        known = {call.call_id for call in calls(self._work.state)}
        for id, arguments, suspension in asked:
            # The task shows an answered question until it has read the answer.
            if id not in known:
                self._suspend(id, INPUT, arguments, suspension)

    def ask_about_delivery(self, message: Outgoing, why: str) -> None:
        """Ask a person whether a message has arrived."""
        remote = remote_task(self._work.state)
        parameters = {"message": message.id, "context": remote.context}
        suspension = Suspension(
            ticket=self._work.new_id(),
            action="remote:unknown",
            message=f"It is unknown whether the message has reached the remote agent: {why}. If it has, "
            "approve with the id of the task that it started. Approve without an id to send it again. "
            "Deny to stop the run.",
            parameters=dict(parameters),
            response_schema={"type": ["string", "null"], "description": "the id of the task"},
            resume_mode="pass_decision_to_tool",
        )
        self._suspend(self._work.new_id(), SUBMISSION, dict(parameters), suspension)

    def _resolve_delivery(self, call: ToolCallState, decision: DecisionRecord) -> None:
        message = call.arguments["message"] if isinstance(call.arguments, dict) else None
        if not decision.approved:
            why = decision.reason or "it is unknown whether the message has reached the remote agent"
            self.termination = Termination(type="stopped", code="denied", detail=why)
        elif isinstance(decision.result, str):
            task = RecordRemoteTask(task=decision.result, context="", status="unknown", arrived=str(message))
            self._work.act([task], source=LOOP)
        else:
            self.doubtful.discard(str(message))

    def _queue(self, parts: list[JsonValue]) -> None:
        message = Outgoing(id=self._work.new_id(), parts=tuple(parts))
        self._work.act([SendToRemote(context=self._work.identity.thread_id, message=message)], source=LOOP)

    def _suspend(self, id: str, name: str, arguments: dict[str, JsonValue], suspension: Suspension) -> None:
        asked = SuspendToolCall(call_id=id, name=name, arguments=arguments, suspension=suspension)
        move_call(self._work, ToolCallState(call_id=id, name=name, arguments=arguments), "new")
        self._work.act([asked], source=LOOP, call_id=id)


def _ticket(call: ToolCallState) -> JsonValue:
    """Return the remote ticket of a question, if it has one."""
    return call.arguments.get("target") if isinstance(call.arguments, dict) else None


def _decision_text(decision: DecisionRecord) -> str:
    if isinstance(decision.result, str):
        return decision.result
    if decision.result is not None:
        return dumps(decision.result).decode()
    return decision.reason or ("yes" if decision.approved else "no")
