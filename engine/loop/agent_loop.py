"""The run loop: model, tools, model, until the model wants no more tools. Phases in order.

    run_start                                                         commit run_started, run_resumed
    [decided calls go on]                                             commit tool_results, each
    step_start, before_inference
      the model answers; it is asked again, or another one, if it fails (inference.py)
    after_inference, [message], step_end                              commit assistant_turn
      the round of tools (round.py)                                   commit tool_results, each
    run_end                                                           commit run_finished, run_suspended

Everything comes in through `Effects` and `Control`, everything goes out through the `Workspace`.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import takewhile

from anyio import get_cancelled_exc_class
from pydantic import JsonValue

from ...reducers.generic import Set
from ...reducers.open_calls import in_call_order
from ...reducers.phase import Phase
from ...reducers.run import ENDS, QUESTION, RunMoved, RunStarted
from ...reducers.tool_call import DecisionRecord, ToolCallsForgotten, ToolCallState, calls, pending, waiting
from ...store.async_log import Pending
from ...store.changeset import Inference, Message, Termination, ToolCall
from ...store.document import pointer
from ...store.errors import BehaviorError, in_words
from ..agents import NOT_GIVEN, Agent, Progress, given_output, rounds, stopped
from ..agents import Round as Past
from ..commit import GIVEN, LOOP
from ..control import Interrupted, Place
from .epoch import Epoch, Resume, Start
from .inference import InferenceFailed
from .phases import Phases
from .step import Step
from .tool_round import Round

log = logging.getLogger(__name__)

INTERRUPTED = {
    "inference": "This run was cancelled while the model was answering. Go on from here when asked to.",
    "tools": "This run was cancelled while tools were at work. Go on from here when asked to.",
}


class Loop(Epoch[Agent]):
    """One epoch of a run, from its first commit to its last."""

    def _prepare(self) -> None:
        own = frozenset(tool.name for tool in self._agent.own_tools())
        self._phases = Phases(self._agent.name, self._agent.behaviors, own, self._work, self._control)
        self._step = Step(self._agent, self._work, self._effects, self._phases, self._publisher)
        self._past: list[Past] = []
        self._started_at = 0
        self._given: JsonValue = None
        self._is_given_up = False
        """Whether a person said that it shall not go on after its process has died."""

    async def _open(self, opening: Start | Resume) -> None:
        work, identity = self._work, self._work.identity
        if isinstance(opening, Start):
            work.act([RunStarted(run_id=identity.run_id)], source=LOOP)
            given = [Set(pointer([key]), value) for key, value in opening.state.items()]
            work.act(given, source=GIVEN)
        else:
            work.act([RunMoved(run_id=identity.run_id, status="running")], source=LOOP)
            self._step.resume(opening.usage)
            self._past = rounds(work.messages, calls(work.state), identity.run_id)
        if any(message.role == "user" and message.content.strip() for message in opening.messages):
            work.act([ToolCallsForgotten()], source=LOOP)
        for message in opening.messages:
            work.say(message)
        self._inbox.take_in("step")
        try:
            if isinstance(opening, Start):
                await self._phases.run(Phase.RUN_START, 0)
        finally:
            self._commit_opening(opening)

    def _commit_opening(self, opening: Start | Resume) -> None:
        super()._commit_opening(opening)
        self._started_at = self._work.at

    async def _go(self) -> Termination:
        """Step after step, until there is a reason to end. That it was cancelled is the first of them."""
        while not self._control.should_stop():
            self._take_in("step")
            if await self._went_on_with_decided():
                if self._is_given_up:
                    return ENDS["stop"]
                continue
            if self._given is None and self._waits_for_all():
                return Termination(type="suspended")
            if end := await self._take_step():
                return end
        return self._cancelled()

    async def _take_step(self) -> Termination | None:
        if self._given is not None:
            self._output = self._given
            return Termination(type="natural_end")
        try:
            with self._control.interruptible("inference"):
                plan = await self._step.plan()
                answer = None if plan.termination else await self._step.ask(plan)
        except InferenceFailed as err:
            await self._step.give_up(str(err))
            return Termination(type="error", detail=in_words(err))
        if answer is None:
            self._output = self._said(self._last_text())
            return plan.termination
        taken = await self._step.take(plan, answer)
        if taken.is_unfinished:
            return None
        if taken.message.tool_calls and (not taken.termination or taken.termination.type == "stopped"):
            end = await self._round(taken.message, taken.pending) or taken.termination
        else:
            self._output = self._said(self._step.output)
            end = taken.termination or self._end_of_text()
        return end

    async def _round(self, message: Message, pending_turn: Pending) -> Termination | None:
        # A tool may change the world: that it was asked for must be in the log before it starts.
        await pending_turn.result()
        if self._control.should_stop():
            return self._cancelled()
        round = self._new_round(self._step.number - 1)
        await self._call_tools(round, message.tool_calls)
        return self._after(round, message)

    async def _call_tools(
        self, round: Round, calls: Sequence[ToolCall], decided: Mapping[str, DecisionRecord] | None = None
    ) -> None:
        try:
            with self._control.interruptible("tools"):
                await round.run(calls, decided)
        except Interrupted:
            # Not if it came behind the last of them: then nothing was cut off.
            if len(round.outcomes) < len(calls):
                raise
        except get_cancelled_exc_class():
            if len(round.outcomes) == len(calls):
                self._control.interrupted = None
            raise

    def _new_round(self, step: int) -> Round:
        return Round(self._agent, self._work, self._effects, self._phases, self._publisher, step)

    def _after(self, round: Round, message: Message) -> Termination | None:
        outcomes = [outcome.outcome for outcome in round.outcomes]
        self._past.append(
            Past(
                text=message.content,
                tools=tuple(call.name for call in message.tool_calls),
                failed=bool(outcomes) and set(outcomes) == {"failed"},
            )
        )
        self._note_output(round)
        if self._given is not None or set(outcomes) == {"suspended"}:
            return None
        usage = self._step.usage
        tokens = usage.input_tokens + usage.output_tokens
        return stopped(self._agent.policies(), Progress(self._past, tokens, self._work.at - self._started_at))

    def _take_in(self, place: Place) -> bool:
        """Take in what was wanted since the last time, into the log by itself: whether the user spoke."""
        before = self._work.waiting
        steered = self._inbox.take_in(place)
        if self._work.waiting > before:
            self._work.commit("user_message" if steered else "decision")
        if steered:
            # What was given answers less than what the user now wants.
            self._given = None
        return steered

    async def _went_on_with_decided(self) -> bool:
        """Let the calls go on that were decided, if there are any that can."""
        decided = self._decided()
        if not decided:
            return False
        # As with the calls themselves: what allows a tool to start must be in the log before it does.
        await self._work.settled("decision")
        if self._control.should_stop():
            return True
        answers = {call.call_id: call.decision for call in decided if call.decision}
        again = [ToolCall(call.name, call.arguments, call.call_id) for call in decided]
        round = self._new_round(max(self._step.number - 1, 0))
        await self._call_tools(round, again, answers)
        self._note_output(round)
        self._is_given_up = any((o.name, o.outcome) == (QUESTION, "cancelled") for o in round.outcomes)
        return True

    def _decided(self) -> list[ToolCallState]:
        """The calls that can go on, in call order: of a batch, none before all of it is decided."""
        resuming = [call for call in calls(self._work.state) if call.status == "resuming"]
        decided = in_call_order(resuming, self._work.messages) if resuming else []
        is_batch = self._agent.tool_execution == "parallel_batch_approval"
        return [] if is_batch and pending(self._work.state) else decided

    def _waits_for_all(self) -> bool:
        """Whether a person must decide before the model has anything new to answer to."""
        news = takewhile(lambda message: message.role != "assistant", reversed(self._work.messages))
        return bool(waiting(self._work.state)) and not any(
            message.role in ("user", "tool") for message in news
        )

    def _unless_wanted(self, termination: Termination) -> Termination | None:
        """The end; none if the run goes on for what has come. Where a person must decide, it waits."""
        if termination.type in ("error", "cancelled") or self._control.should_stop():
            return termination
        is_steered = False
        while self._inbox.has_news("end"):
            is_steered |= self._take_in("end")
        if is_steered or self._decided():
            return None
        return Termination(type="suspended") if waiting(self._work.state) else termination

    def _note_output(self, round: Round) -> None:
        """Keep the structured output that a round has given: with it the run comes to its end."""
        if self._agent.output_type and self._given is None:
            self._given = given_output(self._agent.output_type, round.outcomes)

    def _said(self, text: str | None) -> str | None:
        """A text as the run's output: none where that is structured, or nothing was said."""
        return None if self._agent.output_type else text or None

    def _end_of_text(self) -> Termination:
        """How a run ends with a text, which is no output where that is structured."""
        if self._agent.output_type and not waiting(self._work.state):
            return Termination(type="error", detail=NOT_GIVEN)
        return Termination(type="natural_end")

    def _last_text(self) -> str | None:
        run_id = self._work.identity.run_id
        own = (m for m in reversed(self._work.messages) if m.role == "assistant" and m.run_id == run_id)
        return next((message.content for message in own), None)

    def _cancelled(self, where: str | None = None) -> Termination:
        """The end of a cancelled run. The model is told, if it or its tools were cut off."""
        work = self._work
        if where in INTERRUPTED:
            told = INTERRUPTED[where]
            work.say(Message(id=work.new_id(), role="user", content=told, run_id=work.identity.run_id))
        return Termination(type="cancelled", detail=where)

    async def _cut_off(self, where: str) -> Termination:
        return self._cancelled(where)

    async def _broken_off(self) -> Termination:
        return self._cancelled(self._control.interrupted)

    async def _tell_end(self) -> None:
        try:
            await self._phases.run(Phase.RUN_END, self._step.number)
        except (BehaviorError, Interrupted) as err:
            # The run has ended; what somebody wanted to add to that cannot change how.
            log.warning("run %s: %s", self._work.identity.run_id, err)

    def _unanswered(self) -> Inference | None:
        return self._step.unanswered()
