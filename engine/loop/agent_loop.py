"""The run loop: model, tools, model, until an answer calls no tools. Phases in order.

    run_start                                                         commit run_started, run_resumed
    [decided calls run]                                               commit tool_results, each
    step_start, before_inference
      the model answers; if it fails it is retried, or another one is asked (inference.py)
    after_inference, [message], step_end                              commit assistant_turn
      the round of tools (tool_round.py)                              commit tool_results, each
    run_end                                                           commit run_finished, run_suspended

All input comes through `Effects` and the `Mailbox`; all output goes through the `Workspace`.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import takewhile

from anyio import get_cancelled_exc_class
from pydantic import JsonValue

from ...reducers.generic import Set
from ...reducers.open_calls import in_call_order
from ...reducers.phase import Phase
from ...reducers.run import ENDS, QUESTION, MoveRun, StartRun
from ...reducers.tool_call import (
    DecisionRecord,
    ForgetToolCalls,
    ToolCallState,
    calls,
    pending_calls,
    waiting_calls,
)
from ...store.appender import Receipt
from ...store.changeset import Inference, Interruption, Message, Termination, ToolCall
from ...store.document import pointer
from ...store.errors import BehaviorError, in_words
from ..agents import NOT_GIVEN, Agent, Progress, RoundSummary, check_policies, find_output, past_rounds
from ..commit import GIVEN, LOOP
from ..control import INFERENCE, TOOLS, ApplyPoint, Interrupted
from .epoch import EpochContext, Resume, Start
from .inference import InferenceFailed
from .phases import Phases
from .step import Step
from .tool_round import ToolRound

log = logging.getLogger(__name__)

INTERRUPTED = {
    "inference": "This run was cancelled while the model was answering. Continue from here when asked to.",
    "tools": "This run was cancelled while tools were running. Continue from here when asked to.",
}


class AgentLoop:
    """The course of an epoch that this process executes."""

    def __init__(self, agent: Agent, context: EpochContext) -> None:
        self._agent = agent
        self._context = context
        self._work = context.work
        self._mailbox = context.mailbox
        self._inbox = context.inbox
        own = frozenset(tool.name for tool in agent.own_tools())
        self._phases = Phases(agent.name, agent.behaviors, own, self._work, self._mailbox)
        self._step = Step(agent, self._work, context.effects, self._phases, context.channel)
        self._past: list[RoundSummary] = []
        self._started_at = 0
        self._structured_output: JsonValue = None
        """The structured output, once a tool call has given it."""
        self._is_abandoned = False
        """Whether a person stopped the run after its process died."""
        self.output: JsonValue = None

    def connect(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def open(self, opening: Start | Resume) -> None:
        work, identity = self._work, self._work.identity
        if isinstance(opening, Start):
            work.act([StartRun(run_id=identity.run_id)], source=LOOP)
            initial = [Set(pointer([key]), value) for key, value in opening.state.items()]
            work.act(initial, source=GIVEN)
        else:
            work.act([MoveRun(run_id=identity.run_id, status="running")], source=LOOP)
            self._step.resume(opening.status)
            self._past = past_rounds(work.messages, calls(work.state), identity.run_id)
        if any(message.role == "user" and message.content.strip() for message in opening.messages):
            work.act([ForgetToolCalls()], source=LOOP)
        for message in opening.messages:
            work.add_message(message)
        self._inbox.apply("step")
        try:
            if isinstance(opening, Start):
                await self._phases.run(Phase.RUN_START, 0)
        finally:
            self._context.commit_opening(self._agent, opening)
            self._started_at = work.at

    async def run(self) -> Termination:
        """Take steps until there is a reason to end. A cancellation takes precedence."""
        while not self._mailbox.should_stop():
            self._apply_commands("step")
            if await self._run_decided_calls():
                if self._is_abandoned:
                    return ENDS["stop"]
                continue
            if self._structured_output is None and self._needs_decision():
                return Termination(type="suspended")
            if end := await self._take_step():
                return end
        return self._end_as_cancelled()

    async def _take_step(self) -> Termination | None:
        if self._structured_output is not None:
            self.output = self._structured_output
            return Termination(type="natural_end")
        try:
            with self._mailbox.interruptible(INFERENCE):
                plan = await self._step.plan()
                answer = None if plan.termination else await self._step.ask(plan)
        except InferenceFailed as err:
            await self._step.fail(str(err))
            return Termination(type="error", detail=in_words(err))
        if answer is None:
            self.output = self._text_output(self._last_text())
            return plan.termination
        result = await self._step.finish(answer)
        if result.is_unfinished:
            return None
        if result.message.tool_calls and (not result.termination or result.termination.type == "stopped"):
            end = await self._round(result.message, result.receipt) or result.termination
        else:
            self.output = self._text_output(self._step.output)
            end = result.termination or self._end_after_text()
        return end

    async def _round(self, message: Message, turn: Receipt) -> Termination | None:
        # A tool may change the world: the call must be in the log before it starts.
        await turn.result()
        if self._mailbox.should_stop():
            return self._end_as_cancelled()
        round = self._new_round(self._step.number - 1)
        await self._call_tools(round, message.tool_calls)
        return self._finish_round(round, message)

    async def _call_tools(
        self, round: ToolRound, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord] | None = None
    ) -> None:
        try:
            with self._mailbox.interruptible(TOOLS):
                await round.run(calls, decided)
        except Interrupted:
            # If all calls have ended, the cancellation came too late to interrupt any.
            if len(round.outcomes) < len(calls):
                raise
        except get_cancelled_exc_class():
            if len(round.outcomes) == len(calls):
                self._mailbox.interrupted = None
            raise

    def _new_round(self, step: int) -> ToolRound:
        return ToolRound(
            self._agent, self._work, self._context.effects, self._phases, self._context.channel, step
        )

    def _finish_round(self, round: ToolRound, message: Message) -> Termination | None:
        outcomes = [outcome.outcome for outcome in round.outcomes]
        self._past.append(
            RoundSummary(
                text=message.content,
                tools=tuple(call.name for call in message.tool_calls),
                failed=bool(outcomes) and set(outcomes) == {"failed"},
            )
        )
        self._keep_output(round)
        if self._structured_output is not None or set(outcomes) == {"suspended"}:
            return None
        usage = self._step.usage
        tokens = usage.input_tokens + usage.output_tokens
        progress = Progress(self._past, tokens, self._work.at - self._started_at)
        return check_policies(self._agent.policies(), progress)

    def _apply_commands(self, point: ApplyPoint) -> bool:
        """Apply new commands, in a changeset of their own. Return whether the user sent a message."""
        before = self._work.pending_actions
        steered = self._inbox.apply(point)
        if self._work.pending_actions > before:
            self._work.commit("user_message" if steered else "decision")
        if steered:
            # The output answers only what the user said before.
            self._structured_output = None
        return steered

    async def _run_decided_calls(self) -> bool:
        """Run the decided calls that can continue. Return whether there were any."""
        decided = self._ready_calls()
        if not decided:
            return False
        # As with new calls: the decision that lets a tool start must be in the log before it does.
        await self._work.flush("decision")
        if self._mailbox.should_stop():
            return True
        answers = {call.call_id: call.decision for call in decided if call.decision}
        resumed = [ToolCall(call.name, call.arguments, call.call_id) for call in decided]
        round = self._new_round(max(self._step.number - 1, 0))
        await self._call_tools(round, resumed, answers)
        self._keep_output(round)
        self._is_abandoned = any((o.name, o.outcome) == (QUESTION, "cancelled") for o in round.outcomes)
        return True

    def _ready_calls(self) -> list[ToolCallState]:
        """Return the decided calls that can run now, in call order.

        With batch approval there are none until all calls are decided.
        """
        resuming = [call for call in calls(self._work.state) if call.status == "resuming"]
        decided = in_call_order(resuming, self._work.messages) if resuming else []
        is_batch = self._agent.tool_execution == "parallel_batch_approval"
        return [] if is_batch and pending_calls(self._work.state) else decided

    def _needs_decision(self) -> bool:
        """Return whether the model has nothing new to answer until a person decides."""
        news = takewhile(lambda message: message.role != "assistant", reversed(self._work.messages))
        return bool(waiting_calls(self._work.state)) and not any(
            message.role in ("user", "tool") for message in news
        )

    def confirm_end(self, end: Termination) -> Termination | None:
        """Return the end, or None if new commands let the run continue. Open approvals suspend the run."""
        if end.type in ("error", "cancelled") or self._mailbox.should_stop():
            return end
        is_steered = False
        while self._inbox.has_commands("end"):
            is_steered |= self._apply_commands("end")
        if is_steered or self._ready_calls():
            return None
        return Termination(type="suspended") if waiting_calls(self._work.state) else end

    def _keep_output(self, round: ToolRound) -> None:
        """Keep the structured output of a round. The run ends with it."""
        if self._agent.output_type and self._structured_output is None:
            self._structured_output = find_output(self._agent.output_type, round.outcomes)

    def _text_output(self, text: str | None) -> str | None:
        """Return a text as the run's output; None if it is empty, or the output is structured."""
        return None if self._agent.output_type else text or None

    def _end_after_text(self) -> Termination:
        """Return the end of a run whose last turn is a text: an error if the output is structured."""
        if self._agent.output_type and not waiting_calls(self._work.state):
            return Termination(type="error", detail=NOT_GIVEN)
        return Termination(type="natural_end")

    def _last_text(self) -> str | None:
        run_id = self._work.identity.run_id
        own = (m for m in reversed(self._work.messages) if m.role == "assistant" and m.run_id == run_id)
        return next((message.content for message in own), None)

    def _end_as_cancelled(self, wait: Interruption | None = None) -> Termination:
        """Return the end of a cancelled run. A note tells the model if it or its tools were interrupted."""
        if wait and wait.kind in INTERRUPTED:
            self._work.create_message("user", INTERRUPTED[wait.kind], "note")
        return Termination(type="cancelled", interrupted=wait)

    async def end_interrupted(self, wait: Interruption) -> Termination:
        return self._end_as_cancelled(wait)

    async def end_cancelled(self) -> Termination:
        return self._end_as_cancelled(self._mailbox.interrupted)

    async def announce_end(self) -> None:
        try:
            await self._phases.run(Phase.RUN_END, self._step.number)
        except (BehaviorError, Interrupted) as err:
            # A behavior that fails now does not change how the run ends.
            log.warning("run %s: %s", self._work.identity.run_id, err)

    def unlogged_inference(self) -> Inference | None:
        return self._step.unlogged_inference()
