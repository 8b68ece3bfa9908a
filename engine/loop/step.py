"""One step: what the model is asked, and its turn in the conversation. One commit.

A turn that was cut off, by its length or by a broken stream, is in the log as it is, with a note to the
model to go on; the pieces together are the run's output.
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
from .inference import Answer, Inquiry
from .phases import Phases
from .request import Throttle, normalised, placed, transformed
from .step_plan import StepPlan

CUT_OFF = (
    "Your answer reached the limit of output tokens and was cut off. Work in smaller pieces, "
    "and go on where you stopped."
)
BROKEN_OFF = "The connection broke while you were answering. Go on where you stopped."
MAX_CONTINUATIONS = 3
"""How often in one epoch of a run the model is asked to go on, whatever cut its answers off."""

MAX_BREAKS = 2
"""How many streams of a model may break off, without a whole turn of any, until the next one is asked."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step came to."""

    message: Message
    receipt: Receipt
    termination: Termination | None = None
    """Why the run ends here, if a behavior said so."""

    is_unfinished: bool = False
    """Whether the model must be asked to go on."""


@dataclass(slots=True)
class Step:
    """Takes the steps of one run, one after the other."""

    agent: Agent
    work: Workspace
    effects: Effects
    phases: Phases
    channel: Channel

    number: int = 0
    """The next step: how many turns the run has in the log."""

    output: str = ""
    """The text of the last answer, its pieces put together."""

    inquiry: Inquiry | None = None
    """While a model is asked: its attempts are told even if nothing comes of it."""

    _answer: Answer | None = None
    """What was answered and is not in the log yet."""

    _throttle: Throttle = field(default_factory=Throttle)
    _continuations: int = 0
    _reminders: int = 0
    _broken: Counter[str] = field(default_factory=Counter)
    """By model: how many of its streams broke off since a model last gave a whole turn."""

    _is_going_on: bool = False
    """Whether the last turn was a piece of an answer, and the next is more of it."""

    @property
    def usage(self) -> Usage:
        """Of the run so far."""
        return self.work.usage

    async def plan(self) -> StepPlan:
        """Ask the behaviors what this step shall be. State changes of theirs wait for the turn's commit."""
        self.channel.emit(events.StepStarted(self.number))
        await self.phases.run(Phase.STEP_START, self.number)
        actions = await self.phases.run(Phase.BEFORE_INFERENCE, self.number)
        return StepPlan.of(self.agent, actions)

    async def ask(self, plan: StepPlan) -> Answer:
        """The model's answer.

        Raises:
            InferenceFailed: no model answered.
        """
        request = self._request(plan)
        self.inquiry = Inquiry(
            self.effects, self.agent.retry, self._hear, self.channel.emit, self._may_go_on()
        )
        answer = await self.inquiry.ask(self._models(plan), lambda: transformed(request, plan.transforms))
        self.inquiry = None
        return answer

    def _models(self, plan: StepPlan) -> list[Model]:
        """The plan's, without those whose streams keep breaking off if there is another one."""
        models = plan.models()
        return [model for model in models if self._broken[model.name] < MAX_BREAKS] or models

    def _request(self, plan: StepPlan) -> ModelRequest:
        shown = [m for m in normalised(plan.context) if self._throttle.admits(m, self.number)]
        for message in shown:
            if message.on_emit is not None:
                self.work.act([message.on_emit], source=LOOP)
        waits = [call.call_id for call in waiting_calls(self.work.state)]
        conversation = repair_history(self.work.messages, waits)
        return ModelRequest(
            messages=placed(self.agent.instructions, conversation, shown),
            tools=[tool.spec() for tool in plan.tools.values()],
            settings=plan.settings(),
        )

    def _hear(self, part: Part) -> None:
        match part:
            case TextPart(text):
                self.channel.emit(events.TextDelta(text))
            case ToolCallDelta(name, text):
                self.channel.emit(events.ToolCallDelta(name, text))

    async def take(self, plan: StepPlan, answer: Answer) -> Taken:
        """Put the answer into the log."""
        self._answer = answer
        if answer.interrupted:
            return self._broken_off(answer)
        self._broken.clear()
        self.work.count_usage(answer.turn.usage)
        try:
            actions = await self.phases.run(Phase.AFTER_INFERENCE, self.number, turn=answer.turn)
        finally:
            # It was answered, and paid for: that a behavior fails does not undo it.
            message = self._say(answer.turn)
        await self.phases.run(Phase.STEP_END, self.number, turn=answer.turn)
        ends = [action.termination for action in actions if isinstance(action, Terminate)]
        note = None if ends else self._missing(answer.turn)
        if note:
            self._note(note)
        receipt = self._commit(answer)
        return Taken(message, receipt, ends[-1] if ends else None, is_unfinished=note is not None)

    def _missing(self, turn: Turn) -> str | None:
        """What the model is told to go on with, if its turn is not a whole answer."""
        if turn.tool_calls:
            return None
        if turn.finish_reason == "length" and self._may_go_on():
            self._continuations += 1
            return CUT_OFF
        # While a person has to decide, a text is what there is to say.
        wanted = self.agent.output_type and not pending_calls(self.work.state)
        if wanted and self._reminders < MAX_REMINDERS:
            self._reminders += 1
            return REMINDER
        return None

    def _may_go_on(self) -> bool:
        return self._continuations < MAX_CONTINUATIONS

    def _broken_off(self, answer: Answer) -> Taken:
        """What came before the stream broke is a turn of its own."""
        self._continuations += 1
        self._broken[answer.model] += 1
        message = self._say(answer.turn)
        self._note(BROKEN_OFF)
        return Taken(message, self._commit(answer), is_unfinished=True)

    def _say(self, turn: Turn) -> Message:
        id = self.work.new_id()
        message = Message(
            id=id,
            role="assistant",
            content=turn.text,
            tool_calls=_identified(turn.tool_calls, id, self._open_calls()),
            origin="model",
            run_id=self.work.identity.run_id,
            step=self.number,
            provider=turn.provider,
        )
        self.work.add_message(message)
        self.output = (self.output if self._is_going_on else "") + turn.text
        self._is_going_on = False
        for call in message.tool_calls:
            move_call(self.work, call, "new")
        return message

    def _open_calls(self) -> set[str]:
        ends = ("succeeded", "failed", "cancelled")
        return {call.call_id for call in calls(self.work.state) if call.status not in ends}

    def _note(self, text: str) -> None:
        self._is_going_on = True
        self.work.create_message("user", text, "note", visibility="internal", step=self.number)

    def _commit(self, answer: Answer) -> Receipt:
        receipt = self.work.commit("assistant_turn", inference=answer.record())
        self._answer = None
        self.number += 1
        return receipt

    async def give_up(self, problem: str) -> None:
        """No model answered: the behaviors are told, and the step ends without a turn."""
        await self.phases.run(Phase.AFTER_INFERENCE, self.number, error=problem)
        await self.phases.run(Phase.STEP_END, self.number, error=problem)

    def unanswered(self) -> Inference | None:
        """The inference that is not in the log, if the run ends with one: its attempts belong there, too."""
        if self._answer:
            return self._answer.record()
        if self.inquiry is None or not self.inquiry.attempts:
            return None
        attempts = tuple(self.inquiry.attempts)
        return Inference(model=attempts[-1].model, attempts=attempts)

    def resume(self, status: RunStatus) -> None:
        """Go on where the run's last epoch stopped."""
        self.work.count_usage(status.usage)
        run_id = self.work.identity.run_id
        self.number = sum(m.role == "assistant" and m.run_id == run_id for m in self.work.messages)


def _identified(calls: Sequence[ToolCall], message_id: str, taken: set[str]) -> tuple[ToolCall, ...]:
    """The calls with ids of their own: without one, or with one that is taken, a call gets a new id.

    Providers reuse ids: that of a call which still waits is taken, that of one which has ended is not.
    """
    made: dict[str, ToolCall] = {}
    for index, call in enumerate(calls):
        is_free = call.id and call.id not in made and call.id not in taken
        id = call.id if is_free else f"{message_id}:{index}"
        made[id] = call.model_copy(update={"id": id})
    return tuple(made.values())
