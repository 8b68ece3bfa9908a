"""A round of tool calls. Each call passes its gate, is executed, and is committed as it ends.

    sequential                 call by call, up to the first that is suspended
    parallel                   all gates in call order, then all tools at once; committed as they end
    parallel_batch_approval    the same; decided calls run only when all of them are decided

The gate of a call checks in this order: denied, blocked or answered by a behavior, already answered by the
decision, unknown tool, invalid arguments, suspended. If none applies, the tool is executed.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from anyio import CancelScope, WouldBlock, create_memory_object_stream, create_task_group
from anyio.streams.memory import MemoryObjectReceiveStream

from ...reducers.conflict import Write, conflict, writes
from ...reducers.open_calls import is_answer
from ...reducers.phase import Phase
from ...reducers.tool_call import (
    DecisionRecord,
    ResumeMode,
    SuspendToolCall,
    Suspension,
    has_ended,
)
from ...reducers.tool_call import calls as calls_in
from ...store.changeset import Message, ToolCall, ToolOutcome
from ...store.document import dumps
from ...store.errors import ActionError, in_words
from .. import events
from ..agents import AddMessage, Agent, Block, PhaseAction, SetToolResult, Suspend, ToolAnswer, ToolContext
from ..commit import LOOP, Channel, Effects, Workspace, move_call
from ..control import Interrupted
from .phases import Phases


@dataclass(slots=True)
class ToolRound:
    """The calls of one turn, or the calls that were decided."""

    agent: Agent
    work: Workspace
    effects: Effects
    phases: Phases
    channel: Channel
    step: int

    outcomes: list[ToolOutcome] = field(default_factory=list)
    """The outcomes of the calls so far, in the order of their commits."""

    _written: dict[str, list[Write]] = field(default_factory=dict)
    """The writes of each call of a parallel round."""

    async def run(
        self, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord] | None = None
    ) -> None:
        """Execute or suspend every call."""
        answers = decided or {}
        if self.agent.tool_execution == "sequential":
            await self._run_in_sequence(calls, answers)
        else:
            await self._run_in_parallel(calls, answers)

    async def _run_in_sequence(
        self, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord]
    ) -> None:
        for call in calls:
            decision = decided.get(call.id)
            answer = await self._gate(call, decision)
            if not answer:
                context = self._context(call, decision)
                await self._prepare([(call, context)])
                answer = await self._call(call, context)
            await self._settle(call, answer)
            if answer.outcome == "suspended":
                return

    async def _run_in_parallel(
        self, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord]
    ) -> None:
        gates = [(call, await self._gate(call, decided.get(call.id))) for call in calls]
        for call, gate in gates:
            if gate:
                await self._settle(call, gate)
        # Build all contexts before the first tool starts: all tools see the same state.
        called = [(call, self._context(call, decided.get(call.id))) for call, gate in gates if not gate]
        if called:
            await self._prepare(called)
        if len(called) == 1:
            ((call, context),) = called
            await self._settle(call, await self._call(call, context))
        elif called:
            await self._call_in_parallel(called)

    async def _prepare(self, calls: Sequence[tuple[ToolCall, ToolContext]]) -> None:
        """Commit the announcements of the calls, and wait until their tools may start.

        Raises:
            VersionConflict: another process has written to the thread, perhaps while this one was stopped.
        """
        announced = False
        for call, context in calls:
            actions = self.agent.toolbox()[call.name].announcement(context, self._arguments(call, context))
            self.work.act(actions, source=f"tool:{call.name}", call_id=call.id)
            announced |= bool(actions)
        if announced:
            self.work.commit("tools_started")
        # Earlier results must be durable, so that the log says after a crash which tools were executing.
        await self.work.wait_until_durable()
        self.channel.check_head(self.work.identity.thread_id, self.work.version)

    async def _call_in_parallel(self, calls: Sequence[tuple[ToolCall, ToolContext]]) -> None:
        send, receive = create_memory_object_stream[tuple[ToolCall, ToolAnswer]](math.inf)

        async def call_one(call: ToolCall, context: ToolContext) -> None:
            send.send_nowait((call, await self._call(call, context)))

        failure: Exception | None = None
        with send, receive:
            try:
                async with create_task_group() as tasks:
                    for call, context in calls:
                        tasks.start_soon(call_one, call, context)
                    try:
                        for _ in calls:
                            await self._settle(*await receive.receive())
                    except Exception as err:
                        # Raised inside the task group, the error would be wrapped in an exception group.
                        failure = err
                        tasks.cancel_scope.cancel()
            finally:
                if not failure:
                    await self._settle_rest(receive)
        if failure:
            raise failure

    async def _settle_rest(self, ended: MemoryObjectReceiveStream[tuple[ToolCall, ToolAnswer]]) -> None:
        """Commit the results of tools that ended before the round was interrupted."""
        with suppress(WouldBlock):
            while True:
                await self._settle(*ended.receive_nowait())

    async def _gate(self, call: ToolCall, decision: DecisionRecord | None) -> ToolAnswer | None:
        """Return the answer if the tool is not to be executed, otherwise None."""
        actions = await self.phases.run(Phase.BEFORE_TOOL_EXECUTE, self.step, call=call, decision=decision)
        if decision and not decision.approved:
            return ToolAnswer("cancelled", {"error": _denial_reason(decision)})
        verdict = _last(actions, Block, Suspend)
        if isinstance(verdict, Block):
            return ToolAnswer.failure(verdict.reason)
        if result := _last(actions, SetToolResult):
            assert isinstance(result, SetToolResult)
            return ToolAnswer("succeeded", result.output)
        if decision and is_answer(decision, _resume_mode(self.work, call)):
            return ToolAnswer("succeeded", True if decision.result is None else decision.result)
        tool = self.agent.toolbox().get(call.name)
        if tool is None:
            return ToolAnswer.failure(f"Tool {call.name!r} not found")
        if problem := tool.problem_with(call.arguments):
            return ToolAnswer.failure(problem)
        try:
            if verdict is None and decision is None and tool.wants_approval(call.arguments):
                verdict = Suspend("approve", f"Call {call.name}?")
        except Exception as err:
            return ToolAnswer.failure(f"Execution failed: {in_words(err)}")
        return ToolAnswer("suspended", None, suspend=verdict) if isinstance(verdict, Suspend) else None

    def _context(self, call: ToolCall, decision: DecisionRecord | None) -> ToolContext:
        identity, request = self.work.identity, self._find_request(call)
        return ToolContext(
            run_id=identity.run_id,
            thread_id=identity.thread_id,
            call_id=call.id,
            agent=self.agent.name,
            idempotency_key=f"{identity.run_id}:{request.step if request else None}:{call.id}",
            decision=decision,
            _state=self.work.state,
            _messages=tuple(self.work.messages),
            _report=lambda value: self.channel.emit(events.ToolProgress(call.id, call.name, value)),
        )

    def _arguments(self, call: ToolCall, context: ToolContext) -> Any:
        """Return the arguments of the call: the model's, unless a person replaced them."""
        decision = context.decision
        if decision is None or _resume_mode(self.work, call) != "pass_decision_to_tool":
            return call.arguments
        return decision.result if _is_data(decision.result) else call.arguments

    async def _call(self, call: ToolCall, context: ToolContext) -> ToolAnswer:
        tool, arguments = self.agent.toolbox()[call.name], self._arguments(call, context)
        self.channel.emit(events.ToolCallStarted(call.id, call.name))
        # A copy: what the tool does with its arguments must not change the conversation.
        return await self.effects.call(tool, context, deepcopy(arguments))

    def _find_request(self, call: ToolCall) -> Message | None:
        """Return the model's message that requests a call; None for a question that recovery asks."""
        messages = reversed(self.work.messages)
        return next((each for each in messages if any(c.id == call.id for c in each.tool_calls)), None)

    async def _settle(self, call: ToolCall, answer: ToolAnswer) -> None:
        """Commit the answer of a call, even if the run is being cancelled."""
        with CancelScope(shield=True):
            outcome = self._apply_actions(call, answer)
            suspension = self._suspend(call, answer.suspend) if answer.suspend else None
            if not suspension:
                self._end_call(call, outcome)
            for message in answer.messages:
                self._add_note(message)
            try:
                for message in await self._behavior_messages(call, outcome):
                    self._add_note(message)
            finally:
                # The tool has done its work, even if a behavior fails now.
                finished = self._finished_step(call)
                self.work.commit("tool_results", tool_calls=(outcome,), finished_step=finished)
                self.outcomes.append(outcome)

    def _finished_step(self, call: ToolCall) -> int | None:
        """Return the step that requested a call, if all calls of that step have ended."""
        request = self._find_request(call)
        if request is None or not all(has_ended(self.work.state, each.id) for each in request.tool_calls):
            return None
        return request.step

    async def _behavior_messages(self, call: ToolCall, outcome: ToolOutcome) -> list[AddMessage]:
        """Return the messages that behaviors add after a result."""
        try:
            found = await self.phases.run(Phase.AFTER_TOOL_EXECUTE, self.step, call=call, outcome=outcome)
        except Interrupted:
            return []
        return [action for action in found if isinstance(action, AddMessage)]

    def _apply_actions(self, call: ToolCall, answer: ToolAnswer) -> ToolOutcome:
        """Apply the tool's actions and return the outcome. If they are refused, the call has failed."""
        outcome = ToolOutcome(
            call_id=call.id,
            name=call.name,
            outcome=answer.outcome,
            result=answer.result,
            duration=answer.duration,
            message_count=sum(bool(each.content.strip()) for each in answer.messages),
            executed=answer.executed,
        )
        try:
            with self.work.undo_on_error():
                done = self.work.act(answer.actions, source=f"tool:{call.name}", call_id=call.id)
                written = writes(done.actions, done.patches)
                if clash := conflict(call.id, written, self._written):
                    raise ActionError(f"[state_conflict] {clash}")
        except ActionError as err:
            return outcome.model_copy(update=_refusal(outcome, err))
        if self.agent.tool_execution != "sequential":
            self._written[call.id] = written
        return outcome

    def _suspend(self, call: ToolCall, asked: Suspend) -> Suspension:
        suspension = Suspension(
            ticket=self.work.new_id(),
            action=asked.action or f"tool:{call.name}",
            message=asked.message,
            parameters=call.arguments if asked.parameters is None else asked.parameters,
            response_schema=asked.response_schema,
            resume_mode=asked.resume_mode,
        )
        suspended = SuspendToolCall(
            call_id=call.id, name=call.name, arguments=call.arguments, suspension=suspension
        )
        self.work.act([suspended], source=LOOP, call_id=call.id)
        return suspension

    def _end_call(self, call: ToolCall, outcome: ToolOutcome) -> None:
        move_call(self.work, call, outcome.outcome)
        self.work.create_message(
            "tool", result_text(outcome.result), "tool", tool_call_id=call.id, step=self.step
        )

    def _add_note(self, message: AddMessage) -> None:
        if message.content.strip():
            self.work.create_message(
                message.role, message.content, "note", visibility=message.visibility, step=self.step
            )


def result_text(result: Any) -> str:
    """Return a result as the model reads it: a text unchanged, anything else as JSON."""
    return result if isinstance(result, str) else dumps(result).decode()


def _denial_reason(denied: DecisionRecord) -> str:
    return denied.reason if denied.reason and denied.reason.strip() else "User denied the action"


def _refusal(outcome: ToolOutcome, err: ActionError) -> dict[str, Any]:
    problem = f"the tool was executed, but its state change was refused: {err}"
    return {"outcome": "failed", "result": {"error": problem, "result": outcome.result}}


def _last(actions: Sequence[PhaseAction], *kinds: type[PhaseAction]) -> PhaseAction | None:
    return next((action for action in reversed(actions) if isinstance(action, kinds)), None)


def _resume_mode(work: Workspace, call: ToolCall) -> ResumeMode | None:
    known = next((record for record in calls_in(work.state) if record.call_id == call.id), None)
    return known.suspension.resume_mode if known and known.suspension else None


def _is_data(result: Any) -> bool:
    """Return whether the result of a decision is more than a yes or no."""
    return result is not None and not isinstance(result, bool)
