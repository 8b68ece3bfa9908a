"""One step: the request to the model, and its turn in the conversation. One commit.

A turn that was cut off, by its length or by a broken stream, is logged as it is, with a note that asks the
model to continue. The run's output is the text of all its pieces.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...reducers.phase import Phase
from ...reducers.tool_call import calls, pending_calls, waiting_calls
from ...store.appender import Receipt
from ...store.changeset import Inference, Message, RunStatus, Termination, ToolCall, Usage
from .. import events
from ..agents import MAX_REMINDERS, REMINDER, Agent, Terminate
from ..commit import LOOP, Channel, Effects, Workspace, move_call
from ..models import Model, ModelRequest, Part, TextPart, ToolCallDelta, Turn, repair_history
from .inference import InferenceResult, ModelCall
from .phases import Phases
from .request import Throttle, apply_transforms, latest_context, place_messages
from .step_plan import StepPlan

CUT_OFF = (
    "Your answer reached the output token limit and was cut off. Continue where you stopped, "
    "in smaller pieces."
)
BROKEN_OFF = "The connection broke while you were answering. Continue where you stopped."
MAX_CONTINUATIONS = 3
"""How often in one epoch the model is asked to continue an answer that was cut off."""

MAX_BREAKS = 2
"""The number of broken streams, without a complete turn in between, after which another model is asked."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """The turn that a step has committed."""

    message: Message
    receipt: Receipt
    termination: Termination | None = None
    """Why the run ends here, if a behavior ended it."""

    is_unfinished: bool = False
    """Whether the model must be asked to continue."""


@dataclass(slots=True)
class Step:
    """Takes the steps of one run, in order."""

    agent: Agent
    work: Workspace
    effects: Effects
    phases: Phases
    channel: Channel

    number: int = 0
    """The next step: the number of turns that the run has in the log."""

    output: str = ""
    """The text of the last answer, with its pieces joined."""

    model_call: ModelCall | None = None
    """The model call in progress. Its attempts are recorded even if no model answers."""

    _uncommitted: InferenceResult | None = None
    """The answer that is not in the log yet."""

    _throttle: Throttle = field(default_factory=Throttle)
    _continuations: int = 0
    _reminders: int = 0
    _breaks: Counter[str] = field(default_factory=Counter)
    """The number of broken streams since the last complete turn, by model."""

    _is_continuing: bool = False
    """Whether the last turn was a piece of an answer that the next one continues."""

    @property
    def usage(self) -> Usage:
        """Tokens of the run so far."""
        return self.work.usage

    async def plan(self) -> StepPlan:
        """Let the behaviors plan the step. Their state changes are committed with the turn."""
        self.channel.emit(events.StepStarted(self.number))
        await self.phases.run(Phase.STEP_START, self.number)
        actions = await self.phases.run(Phase.BEFORE_INFERENCE, self.number)
        return StepPlan.of(self.agent, actions)

    async def ask(self, plan: StepPlan) -> InferenceResult:
        """Ask the models of the plan.

        Raises:
            InferenceFailed: no model answered.
        """
        request = self._request(plan)
        self.model_call = ModelCall(
            self.effects, self.agent.retry, self._emit_part, self.channel.emit, self._may_continue()
        )
        answer = await self.model_call.ask(
            self._models(plan), lambda: apply_transforms(request, plan.transforms)
        )
        self.model_call = None
        return answer

    def _models(self, plan: StepPlan) -> list[Model]:
        """Return the plan's models, without those whose streams keep breaking, if there are others."""
        models = plan.models()
        return [model for model in models if self._breaks[model.name] < MAX_BREAKS] or models

    def _request(self, plan: StepPlan) -> ModelRequest:
        shown = [m for m in latest_context(plan.context) if self._throttle.admits(m, self.number)]
        for message in shown:
            if message.on_emit is not None:
                self.work.act([message.on_emit], source=LOOP)
        waiting = [call.call_id for call in waiting_calls(self.work.state)]
        conversation = repair_history(self.work.messages, waiting)
        return ModelRequest(
            messages=place_messages(self.agent.instructions, conversation, shown),
            tools=[tool.spec() for tool in plan.tools.values()],
            settings=plan.settings(),
        )

    def _emit_part(self, part: Part) -> None:
        match part:
            case TextPart(text):
                self.channel.emit(events.TextDelta(text))
            case ToolCallDelta(name, text):
                self.channel.emit(events.ToolCallDelta(name, text))

    async def finish(self, answer: InferenceResult) -> StepResult:
        """Commit the answer of the model, with what the behaviors do about it."""
        self._uncommitted = answer
        if answer.interrupted:
            return self._commit_partial(answer)
        self._breaks.clear()
        self.work.count_usage(answer.turn.usage)
        try:
            actions = await self.phases.run(Phase.AFTER_INFERENCE, self.number, turn=answer.turn)
        finally:
            # The answer is paid for: a behavior that fails does not undo it.
            message = self._add_answer(answer.turn)
        await self.phases.run(Phase.STEP_END, self.number, turn=answer.turn)
        ends = [action.termination for action in actions if isinstance(action, Terminate)]
        note = None if ends else self._continuation_note(answer.turn)
        if note:
            self._ask_to_continue(note)
        receipt = self._commit(answer)
        return StepResult(message, receipt, ends[-1] if ends else None, is_unfinished=note is not None)

    def _continuation_note(self, turn: Turn) -> str | None:
        """Return the note that asks the model to continue, if its turn is not a complete answer."""
        if turn.tool_calls:
            return None
        if turn.finish_reason == "length" and self._may_continue():
            self._continuations += 1
            return CUT_OFF
        # While an approval is open, a plain text is a valid answer.
        needs_output = self.agent.output_type and not pending_calls(self.work.state)
        if needs_output and self._reminders < MAX_REMINDERS:
            self._reminders += 1
            return REMINDER
        return None

    def _may_continue(self) -> bool:
        return self._continuations < MAX_CONTINUATIONS

    def _commit_partial(self, answer: InferenceResult) -> StepResult:
        """Commit what was received before the stream broke, as a turn of its own."""
        self._continuations += 1
        self._breaks[answer.model] += 1
        message = self._add_answer(answer.turn)
        self._ask_to_continue(BROKEN_OFF)
        return StepResult(message, self._commit(answer), is_unfinished=True)

    def _add_answer(self, turn: Turn) -> Message:
        id = self.work.new_id()
        message = Message(
            id=id,
            role="assistant",
            content=turn.text,
            tool_calls=_assign_ids(turn.tool_calls, id, self._open_calls()),
            origin="model",
            run_id=self.work.identity.run_id,
            step=self.number,
            provider=turn.provider,
        )
        self.work.add_message(message)
        self.output = (self.output if self._is_continuing else "") + turn.text
        self._is_continuing = False
        for call in message.tool_calls:
            move_call(self.work, call, "new")
        return message

    def _open_calls(self) -> set[str]:
        ends = ("succeeded", "failed", "cancelled")
        return {call.call_id for call in calls(self.work.state) if call.status not in ends}

    def _ask_to_continue(self, text: str) -> None:
        self._is_continuing = True
        self.work.create_message("user", text, "note", visibility="internal", step=self.number)

    def _commit(self, answer: InferenceResult) -> Receipt:
        receipt = self.work.commit("assistant_turn", inference=answer.record())
        self._uncommitted = None
        self.number += 1
        return receipt

    async def fail(self, problem: str) -> None:
        """End the step without a turn, because no model answered."""
        await self.phases.run(Phase.AFTER_INFERENCE, self.number, error=problem)
        await self.phases.run(Phase.STEP_END, self.number, error=problem)

    def unlogged_inference(self) -> Inference | None:
        """Return the model call that is not in the log yet, if there is one."""
        if self._uncommitted:
            return self._uncommitted.record()
        if self.model_call is None or not self.model_call.attempts:
            return None
        attempts = tuple(self.model_call.attempts)
        return Inference(model=attempts[-1].model, attempts=attempts)

    def resume(self, status: RunStatus) -> None:
        """Continue where the last epoch of the run stopped."""
        self.work.count_usage(status.usage)
        run_id = self.work.identity.run_id
        self.number = sum(m.role == "assistant" and m.run_id == run_id for m in self.work.messages)


def _assign_ids(calls: Sequence[ToolCall], message_id: str, in_use: set[str]) -> tuple[ToolCall, ...]:
    """Return the calls with unique ids: a call without an id, or with one in use, gets a new one.

    Providers reuse ids: the id of an open call is in use, that of an ended one is not.
    """
    unique: dict[str, ToolCall] = {}
    for index, call in enumerate(calls):
        is_free = call.id and call.id not in unique and call.id not in in_use
        id = call.id if is_free else f"{message_id}:{index}"
        unique[id] = call.model_copy(update={"id": id})
    return tuple(unique.values())
