"""What a behavior may return, and in which phase. Data; applied by the loop in the order returned.

    State                                                     every phase
    AddContextMessage ExcludeTool IncludeOnlyTools            before_inference
    AddRequestTransform OverrideModel OverrideInference
    Terminate                                                 before_inference, after_inference
    Block Suspend SetToolResult                               before_tool_execute
    AddMessage                                                after_tool_execute

An action returned where it is not legal raises `PhaseError`, and nothing of the phase is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...reducers.phase import Phase
from ...reducers.reduce import StateAction
from ...reducers.tool_call import ResumeMode
from ...store.changeset import Termination
from ...store.errors import PhaseError
from ..models import Model, ModelRequest

Target = Literal["system", "session", "conversation", "suffix_system"]
Role = Literal["system", "user"]
Effort = Literal["none", "low", "medium", "high", "max"] | int


@dataclass(frozen=True, slots=True)
class State:
    """Change state."""

    action: StateAction


@dataclass(frozen=True, slots=True)
class AddContextMessage:
    """Show the model a message in this request only; it is not part of the conversation.

    Of one `key` the last one stands, except in the conversation. An unchanged message is shown again only
    when more than `cooldown` steps have passed since it was shown last.
    """

    key: str
    content: str
    target: Target = "system"
    """Behind the instructions; behind all system messages; before the conversation; at the very end."""

    role: Role = "system"
    cooldown: int = 0
    on_emit: StateAction | None = None
    """Reduced when the message is really shown: so that what is shown once can be taken away."""


@dataclass(frozen=True, slots=True)
class ExcludeTool:
    """Do not offer a tool in this step."""

    name: str


@dataclass(frozen=True, slots=True)
class IncludeOnlyTools:
    """Offer none but these tools in this step."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class AddRequestTransform:
    """Change the request when it is complete. Transforms are applied in order, again for every attempt."""

    transform: Callable[[ModelRequest], ModelRequest]


@dataclass(frozen=True, slots=True)
class OverrideModel:
    """Ask another model in this step; its fallbacks replace the earlier ones only if there are any."""

    model: Model | str
    fallbacks: Sequence[Model | str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideInference:
    """Other settings in this step: what is given replaces, what is not given stays."""

    model: Model | str | None = None
    fallbacks: Sequence[Model | str] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    reasoning_effort: Effort | None = None


@dataclass(frozen=True, slots=True)
class Terminate:
    """End the run: at once before an inference, after one when the turn is in the log. The last counts."""

    termination: Termination = Termination(type="behavior_requested")  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Block:
    """Refuse the tool call; the model is told why. Of `Block` and `Suspend` the last one counts."""

    reason: str = "Blocked by a behavior"


@dataclass(frozen=True, slots=True)
class Suspend:
    """Put the tool call before a person; the run waits when nothing else is left to do."""

    action: str = ""
    """What is asked for, for whoever shows it: `approve`, `tool:PermissionConfirm`, …; without it `tool:`
    and the tool's name."""

    message: str = ""
    """What the person reads."""

    parameters: Any = None
    """What the question is about, as JSON; the call's arguments if it is None."""

    resume_mode: ResumeMode = "replay_tool_call"

    response_schema: Any = None
    """Of which form the answer's result is to be, as JSON schema, for whoever shows the question. The
    result is not checked against it: what becomes arguments of the tool is checked like all arguments."""


@dataclass(frozen=True, slots=True)
class SetToolResult:
    """Answer the tool call with this; the tool does not run."""

    output: Any


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Put a message into the conversation, behind the tool's."""

    content: str
    role: Role = "system"
    visibility: Literal["all", "internal"] = "internal"
    """Internal messages go to the model and are hidden from people by default."""


InferenceAction = (
    AddContextMessage
    | ExcludeTool
    | IncludeOnlyTools
    | AddRequestTransform
    | OverrideModel
    | OverrideInference
)
PhaseAction = State | InferenceAction | Terminate | Block | Suspend | SetToolResult | AddMessage

LEGAL: dict[Phase, tuple[type[PhaseAction], ...]] = {
    **dict.fromkeys(Phase, (State,)),
    Phase.BEFORE_INFERENCE: (
        State,
        AddContextMessage,
        ExcludeTool,
        IncludeOnlyTools,
        AddRequestTransform,
        OverrideModel,
        OverrideInference,
        Terminate,
    ),
    Phase.AFTER_INFERENCE: (State, Terminate),
    Phase.BEFORE_TOOL_EXECUTE: (State, Block, Suspend, SetToolResult),
    Phase.AFTER_TOOL_EXECUTE: (State, AddMessage),
}


def refuse_illegal(phase: Phase, actions: Sequence[object]) -> None:
    """Pass if all of the actions are legal in the phase.

    Raises:
        PhaseError: naming the first that is not.
    """
    for action in actions:
        if not isinstance(action, LEGAL[phase]):
            raise PhaseError(f"{type(action).__name__} is not legal in the phase {phase.value!r}")
