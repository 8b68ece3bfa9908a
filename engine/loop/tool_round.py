"""A round of tool calls: each gated, called, settled. One commit for each call as it ends.

    sequential                 call by call, up to the first that is suspended
    parallel                   all gates in call order, then all tools at once; settled as they end
    parallel_batch_approval    the same; decided calls run only when all of them are decided

The gate of a call returns the first of these that holds: blocked, answered by a behavior, unknown tool,
invalid arguments, suspended, executed.
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
    """The outcomes of the calls settled so far, in the order of their commits."""

    _written: dict[str, list[Write]] = field(default_factory=dict)
    """The writes of each call of a parallel round."""

    async def run(
        self, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord] | None = None
    ) -> None:
        """Bring every call to its outcome or its suspension."""
        answers = decided or {}
        if self.agent.tool_execution == "sequential":
            await self._one_by_one(calls, answers)
        else:
            await self._all_at_once(calls, answers)

    async def _one_by_one(self, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord]) -> None:
        for call in calls:
            decision = decided.get(call.id)
            answer = await self._gate(call, decision)
            if not answer:
                context = self._context(call, decision)
                await self._may_start([(call, context)])
                answer = await self._call(call, context)
            await self._settle(call, answer)
            if answer.outcome == "suspended":
                return

    async def _all_at_once(self, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord]) -> None:
        gates = [(call, await self._gate(call, decided.get(call.id))) for call in calls]
        for call, gate in gates:
            if gate:
                await self._settle(call, gate)
        # Made before the first tool starts: all see the state at the beginning of the round.
        called = [(call, self._context(call, decided.get(call.id))) for call, gate in gates if not gate]
        if called:
            await self._may_start(called)
        if len(called) == 1:
            ((call, context),) = called
            await self._settle(call, await self._call(call, context))
        elif called:
            await self._together(called)

    async def _may_start(self, calls: Sequence[tuple[ToolCall, ToolContext]]) -> None:
        """Wait until the tools of these calls may start.

        Raises:
            VersionConflict: another process owns the thread, for example after this one was suspended.
        """
        announced = False
        for call, context in calls:
            actions = self.agent.toolbox()[call.name].announcement(context, self._arguments(call, context))
            self.work.act(actions, source=f"tool:{call.name}", call_id=call.id)
            announced |= bool(actions)
        if announced:
            self.work.commit("tools_started")
        # Earlier results must be durable: after a crash the log says which of the tools was executing.
        await self.work.wait_until_durable()
        self.channel.check_head(self.work.identity.thread_id, self.work.version)

    async def _together(self, calls: Sequence[tuple[ToolCall, ToolContext]]) -> None:
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
        """Commit the results of tools that ended before the run was cancelled."""
        with suppress(WouldBlock):
            while True:
                await self._settle(*ended.receive_nowait())

    async def _gate(self, call: ToolCall, decision: DecisionRecord | None) -> ToolAnswer | None:
        """Return the answer of a call whose tool is not executed; None if it is."""
        actions = await self.phases.run(Phase.BEFORE_TOOL_EXECUTE, self.step, call=call, decision=decision)
        if decision and not decision.approved:
            return ToolAnswer("cancelled", {"error": _reason(decision)})
        verdict = _last(actions, Block, Suspend)
        if isinstance(verdict, Block):
            return ToolAnswer.failure(verdict.reason)
        if given := _last(actions, SetToolResult):
            assert isinstance(given, SetToolResult)
            return ToolAnswer("succeeded", given.output)
        if decision and is_answer(decision, _mode(self.work, call)):
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
        identity, asked = self.work.identity, self._answer_with(call)
        return ToolContext(
            run_id=identity.run_id,
            thread_id=identity.thread_id,
            call_id=call.id,
            agent=self.agent.name,
            idempotency_key=f"{identity.run_id}:{asked.step if asked else None}:{call.id}",
            decision=decision,
            _state=self.work.state,
            _messages=tuple(self.work.messages),
            _report=lambda value: self.channel.emit(events.ToolProgress(call.id, call.name, value)),
        )

    def _arguments(self, call: ToolCall, context: ToolContext) -> Any:
        """Return the arguments of the call: the model's, unless a person replaced them."""
        decision = context.decision
        is_passed = decision and _mode(self.work, call) == "pass_decision_to_tool"
        return decision.result if decision and is_passed and _is_given(decision.result) else call.arguments

    async def _call(self, call: ToolCall, context: ToolContext) -> ToolAnswer:
        tool, arguments = self.agent.toolbox()[call.name], self._arguments(call, context)
        self.channel.emit(events.ToolCallStarted(call.id, call.name))
        # A copy: what the tool does with its arguments must not change the conversation.
        return await self.effects.call(tool, context, deepcopy(arguments))

    def _answer_with(self, call: ToolCall) -> Message | None:
        """Return the answer that asks for a call; None for the question asked after a crash."""
        messages = reversed(self.work.messages)
        return next((each for each in messages if any(c.id == call.id for c in each.tool_calls)), None)

    async def _settle(self, call: ToolCall, answer: ToolAnswer) -> None:
        """Commit the answer of a call, completely, even if the run is being cancelled."""
        with CancelScope(shield=True):
            outcome = self._reduced(call, answer)
            suspension = self._suspended(call, answer.suspend) if answer.suspend else None
            if not suspension:
                self._end(call, outcome)
            for message in answer.messages:
                self._say(message)
            try:
                for message in await self._added(call, outcome):
                    self._say(message)
            finally:
                # A behavior that fails now does not undo what the tool has done.
                finished = self._finished_step(call)
                self.work.commit("tool_results", tool_calls=(outcome,), finished_step=finished)
                self.outcomes.append(outcome)

    def _finished_step(self, call: ToolCall) -> int | None:
        """Return the step that asked for a call, if all calls of that step have ended."""
        asked = self._answer_with(call)
        if asked is None or not all(has_ended(self.work.state, each.id) for each in asked.tool_calls):
            return None
        return asked.step

    async def _added(self, call: ToolCall, outcome: ToolOutcome) -> list[AddMessage]:
        """Return the messages that behaviors add after a result."""
        try:
            found = await self.phases.run(Phase.AFTER_TOOL_EXECUTE, self.step, call=call, outcome=outcome)
        except Interrupted:
            return []
        return [action for action in found if isinstance(action, AddMessage)]

    def _reduced(self, call: ToolCall, answer: ToolAnswer) -> ToolOutcome:
        """Return the outcome after reducing the tool's actions. If they are refused, the call failed."""
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
                wanted = writes(done.actions, done.patches)
                if clash := conflict(call.id, wanted, self._written):
                    raise ActionError(f"[state_conflict] {clash}")
        except ActionError as err:
            return outcome.model_copy(update=_refused(outcome, err))
        if self.agent.tool_execution != "sequential":
            self._written[call.id] = wanted
        return outcome

    def _suspended(self, call: ToolCall, asked: Suspend) -> Suspension:
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

    def _end(self, call: ToolCall, outcome: ToolOutcome) -> None:
        move_call(self.work, call, outcome.outcome)
        self.work.create_message(
            "tool", text_of(outcome.result), "tool", tool_call_id=call.id, step=self.step
        )

    def _say(self, message: AddMessage) -> None:
        if message.content.strip():
            self.work.create_message(
                message.role, message.content, "note", visibility=message.visibility, step=self.step
            )


def text_of(result: Any) -> str:
    """Return a result as the model reads it: text as it is, everything else as JSON."""
    return result if isinstance(result, str) else dumps(result).decode()


def _reason(denied: DecisionRecord) -> str:
    return denied.reason if denied.reason and denied.reason.strip() else "User denied the action"


def _refused(outcome: ToolOutcome, err: ActionError) -> dict[str, Any]:
    problem = f"the tool was executed, but its state change was refused: {err}"
    return {"outcome": "failed", "result": {"error": problem, "result": outcome.result}}


def _last(actions: Sequence[PhaseAction], *kinds: type[PhaseAction]) -> PhaseAction | None:
    return next((action for action in reversed(actions) if isinstance(action, kinds)), None)


def _mode(work: Workspace, call: ToolCall) -> ResumeMode | None:
    known = next((record for record in calls_in(work.state) if record.call_id == call.id), None)
    return known.suspension.resume_mode if known and known.suspension else None


def _is_given(result: Any) -> bool:
    """Return whether a person answered with more than yes."""
    return result is not None and not isinstance(result, bool)
