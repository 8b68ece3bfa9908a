"""The run loop: model, tools, model, until the model wants no more tools. Phases in order.

    run_start                                                  commit run_started
    step_start, before_inference
      the model answers
    after_inference, [message], step_end                       commit assistant_turn
      for each call: before_tool_execute, tool, after_tool_execute   commit tool_results
    run_end                                                    commit run_finished

Everything comes in through `Effects`, everything goes out through the `Workspace`.
"""

import logging
from collections.abc import Sequence
from copy import deepcopy
from hashlib import sha256
from typing import Any, Literal

from anyio import get_cancelled_exc_class

from ..reducers.phase import Phase
from ..reducers.run import RunMoved, RunStarted, done_reason
from ..reducers.tool_call import ToolCallMoved, ToolCallsForgotten
from ..store.async_log import Pending
from ..store.changeset import (
    Executor,
    Inference,
    Message,
    RunFacts,
    Termination,
    ThreadFacts,
    ToolCall,
    ToolOutcome,
    Usage,
)
from ..store.document import dumps
from ..store.errors import ActionError, BehaviorError, ContentError
from . import events
from .agent import Agent
from .behavior import Context, wanted
from .effects import Effects
from .model import Collector, ModelRequest, TextPart, Turn
from .publish import Publisher
from .tool import ToolContext, ToolError, ToolResult
from .workspace import Workspace

LOOP = "agent_loop"
"""The source of what the loop itself does."""

log = logging.getLogger(__name__)


class Loop:
    """One run, from its first commit to its last."""

    def __init__(
        self,
        agent: Agent,
        workspace: Workspace,
        effects: Effects,
        executor: Executor,
        publisher: Publisher,
    ) -> None:
        self._agent = agent
        self._work = workspace
        self._effects = effects
        self._executor = executor
        self._publisher = publisher
        self._tools = agent.toolbox()
        self._usage = Usage()
        self._step = 0
        self._output: str | None = None
        self._started = False

    async def run(self, messages: Sequence[Message], facts: ThreadFacts | None) -> None:
        """Run to the end, however it comes; the log says which.

        Raises:
            ContentError: what it starts with cannot be kept; nothing was written.
        """
        try:
            self._start(messages, facts)
            termination = await self._steps()
        except get_cancelled_exc_class():
            if not self._publisher.failure:
                self._finish(Termination(type="cancelled"))
            raise
        except Exception as err:
            if not self._started:
                raise
            log.debug("run %s failed", self._work.identity.run_id, exc_info=True)
            termination = Termination(type="error", detail=str(err) or repr(err))
        self._finish(termination)

    def _start(self, messages: Sequence[Message], facts: ThreadFacts | None) -> None:
        work, identity = self._work, self._work.identity
        work.act([RunStarted(run_id=identity.run_id)], source=LOOP)
        if any(message.role == "user" and message.content.strip() for message in messages):
            work.act([ToolCallsForgotten()], source=LOOP)
        for message in messages:
            work.say(message)
        try:
            self._phase(Phase.RUN_START)
        finally:
            pending = work.commit(
                "run_started",
                run=RunFacts(status="running"),
                executor=self._executor,
                agent=self._agent.facts(),
                thread=facts,
            )
            self._started = True
            started = events.RunStarted(identity.run_id, identity.thread_id, work.version)
            self._publisher.tell(started, after=pending)

    async def _steps(self) -> Termination:
        while True:
            message, pending = await self._inference()
            if not message.tool_calls:
                self._output = message.content
                return Termination(type="natural_end")
            # A tool may change the world: that it was asked for must be in the log before it starts.
            await pending.result()
            for call in message.tool_calls:
                await self._tool_call(call)
            self._step += 1

    async def _inference(self) -> tuple[Message, Pending]:
        self._phase(Phase.STEP_START)
        self._phase(Phase.BEFORE_INFERENCE)
        request = self._request()
        before = self._effects.now()
        turn = await self._ask(request)
        inference = Inference(
            model=self._agent.model.name,
            usage=turn.usage,
            finish_reason=turn.finish_reason,
            latency=self._effects.now() - before,
            request_digest=_digest(request),
        )
        self._usage = _sum(self._usage, turn.usage)
        self._phase(Phase.AFTER_INFERENCE, turn=turn)
        message = self._say_turn(turn)
        self._phase(Phase.STEP_END, turn=turn)
        pending = self._work.commit("assistant_turn", inference=inference)
        self._publisher.tell(events.AssistantTurn(message, self._work.version), after=pending)
        return message, pending

    def _request(self) -> ModelRequest:
        prompt = [Message(id="instructions", role="system", content=self._agent.instructions)]
        return ModelRequest(
            messages=(*(prompt if self._agent.instructions else ()), *self._work.messages),
            tools=tuple(tool.spec() for tool in self._tools.values()),
        )

    async def _ask(self, request: ModelRequest) -> Turn:
        collector = Collector()
        async for part in self._effects.infer(self._agent.model, request):
            collector.add(part)
            if isinstance(part, TextPart):
                self._publisher.tell(events.TextDelta(part.text))
        return collector.turn()

    def _say_turn(self, turn: Turn) -> Message:
        identity, id = self._work.identity, self._work.new_id()
        message = Message(
            id=id,
            role="assistant",
            content=turn.text,
            tool_calls=_identified(turn.tool_calls, id),
            run_id=identity.run_id,
            step=self._step,
            provider=turn.provider,
        )
        self._work.say(message)
        for call in message.tool_calls:
            self._move(call, "new")
        return message

    async def _tool_call(self, call: ToolCall) -> None:
        self._phase(Phase.BEFORE_TOOL_EXECUTE, call=call)
        before = self._effects.now()
        outcome, result = await self._outcome(call)
        outcome = outcome.model_copy(update={"duration": self._effects.now() - before})
        outcome = self._act_for(call, outcome, result)
        self._move(call, outcome.outcome)
        message = Message(
            id=self._work.new_id(),
            role="tool",
            content=_text(outcome),
            tool_call_id=call.id,
            run_id=self._work.identity.run_id,
            step=self._step,
        )
        self._work.say(message)
        self._phase(Phase.AFTER_TOOL_EXECUTE, call=call, outcome=outcome)
        pending = self._work.commit("tool_results", tool_calls=(outcome,))
        self._publisher.tell(events.ToolFinished(outcome, message, self._work.version), after=pending)

    async def _outcome(self, call: ToolCall) -> tuple[ToolOutcome, ToolResult]:
        tool, identity = self._tools.get(call.name), self._work.identity
        context = ToolContext(
            identity.run_id, identity.thread_id, call.id, self._agent.name, self._work.state
        )
        try:
            if tool is None:
                raise ToolError(f"Tool {call.name!r} not found")
            # A copy: what the tool does with its arguments must not reach the conversation.
            result = await self._effects.call(tool, context, deepcopy(call.arguments))
        except ToolError as err:
            return _failed(call, str(err)), ToolResult(None)
        except Exception as err:
            return _failed(call, f"Execution failed: {str(err) or repr(err)}"), ToolResult(None)
        return ToolOutcome(call_id=call.id, name=call.name, outcome="succeeded", result=result.output), result

    def _act_for(self, call: ToolCall, outcome: ToolOutcome, result: ToolResult) -> ToolOutcome:
        """The tool's own actions; if they are refused the call has failed, though the tool did run."""
        try:
            with self._work.attempt():
                self._work.act(result.actions, source=f"tool:{call.name}", call_id=call.id)
        except ActionError as err:
            told = {"error": f"the tool was executed, but its state change was refused: {err}"}
            refused: dict[str, Any] = told | {"result": outcome.result}
            return outcome.model_copy(update={"outcome": "failed", "result": refused})
        return outcome

    def _move(self, call: ToolCall, status: Literal["new", "succeeded", "failed"]) -> None:
        moved = ToolCallMoved(call_id=call.id, name=call.name, arguments=call.arguments, status=status)
        self._work.act([moved], source=LOOP, call_id=call.id)

    def _phase(
        self,
        phase: Phase,
        *,
        turn: Turn | None = None,
        call: ToolCall | None = None,
        outcome: ToolOutcome | None = None,
    ) -> None:
        """Ask every behavior, in order. If one fails, nothing of the phase is kept."""
        identity = self._work.identity
        with self._work.attempt():
            for behavior in self._agent.behaviors:
                context = Context(
                    phase,
                    identity.run_id,
                    identity.thread_id,
                    self._agent.name,
                    self._step,
                    tuple(self._work.messages),
                    *deepcopy((turn, call, outcome)),
                    self._work.state,
                )
                source = f"behavior:{behavior.name}:{phase.value}"
                try:
                    actions = [action.action for action in wanted(behavior, context)]
                    self._work.act(actions, source=source, call_id=call.id if call else None)
                except Exception as err:
                    raise BehaviorError(behavior.name, phase.value, str(err) or repr(err)) from err

    def _finish(self, termination: Termination) -> None:
        work, identity = self._work, self._work.identity
        try:
            pending = self._commit_end(termination)
        except ContentError as err:
            # What waited cannot be kept: the end must be, and says why. Nobody may add to it once more.
            work.discard()
            termination = Termination(type="error", detail=str(err))
            pending = self._commit_end(termination, ask=False)
        result = events.RunResult(
            run_id=identity.run_id,
            thread_id=identity.thread_id,
            status="done",
            termination=termination,
            output=self._output if termination.type == "natural_end" else None,
            usage=self._usage,
            version=work.version,
        )
        self._publisher.tell(events.RunFinished(result, work.version), after=pending)

    def _commit_end(self, termination: Termination, *, ask: bool = True) -> Pending:
        moved = RunMoved(
            run_id=self._work.identity.run_id, status="done", done_reason=done_reason(termination)
        )
        self._work.act([moved], source=LOOP)
        try:
            if ask:
                self._phase(Phase.RUN_END)
        except BehaviorError as err:
            # The run has ended; what somebody wanted to add to that cannot change how.
            log.warning("run %s: %s", self._work.identity.run_id, err)
        facts = RunFacts(
            status="done",
            termination=termination,
            input_tokens=self._usage.input_tokens,
            output_tokens=self._usage.output_tokens,
        )
        return self._work.commit("run_finished", run=facts)


def _identified(calls: Sequence[ToolCall], message_id: str) -> tuple[ToolCall, ...]:
    """The calls with ids of their own: without one, or with that of an earlier one, a call gets a new id."""
    made: dict[str, ToolCall] = {}
    for index, call in enumerate(calls):
        id = call.id if call.id and call.id not in made else f"{message_id}:{index}"
        made[id] = call.model_copy(update={"id": id})
    return tuple(made.values())


def _failed(call: ToolCall, text: str) -> ToolOutcome:
    return ToolOutcome(call_id=call.id, name=call.name, outcome="failed", result={"error": text})


def _text(outcome: ToolOutcome) -> str:
    """What the model is told: a text as it is, everything else as JSON."""
    return outcome.result if isinstance(outcome.result, str) else dumps(outcome.result).decode()


def _digest(request: ModelRequest) -> str:
    messages = [message.model_dump(exclude_defaults=True) for message in request.messages]
    tools = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
    return sha256(dumps([messages, tools], record=True)).hexdigest()


def _sum(a: Usage, b: Usage) -> Usage:
    return Usage(**{name: getattr(a, name) + getattr(b, name) for name in Usage.model_fields})
