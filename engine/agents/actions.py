"""The actions that a behavior may return, and in which phases. The loop applies them in the order returned.

    State                                                     every phase
    AddContextMessage ExcludeTool IncludeOnlyTools            before_inference
    AddRequestTransform OverrideModel OverrideInference
    Terminate                                                 before_inference, after_inference
    Block Suspend SetToolResult                               before_tool_execute
    AddMessage                                                after_tool_execute

An action that is not legal in its phase raises `PhaseError`, and the run keeps nothing of the phase.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

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
    """Change the state of the thread."""

    action: StateAction


@dataclass(frozen=True, slots=True)
class AddContextMessage:
    """Show the model a message in this request only, without adding it to the conversation.

    The last message with a `key` replaces the earlier ones, unless the target is the conversation. An
    unchanged message is shown again only after more than `cooldown` steps.
    """

    key: str
    content: str
    target: Target = "system"
    """Where the message goes: after the instructions (`system`), after all system messages (`session`),
    before the conversation (`conversation`), or at the end of the request (`suffix_system`)."""

    role: Role = "system"
    cooldown: int = 0
    on_emit: StateAction | None = None
    """An action to reduce when the message is shown, for example to remove a message after one use."""


@dataclass(frozen=True, slots=True)
class ExcludeTool:
    """Do not offer this tool to the model in this step."""

    name: str


@dataclass(frozen=True, slots=True)
class IncludeOnlyTools:
    """Offer only these tools to the model in this step."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class AddRequestTransform:
    """Change the complete request. Transforms run in order, and again for every attempt."""

    transform: Callable[[ModelRequest], ModelRequest]


@dataclass(frozen=True, slots=True)
class OverrideModel:
    """Ask another model in this step. An empty `fallbacks` keeps the fallbacks of earlier overrides."""

    model: Model | str
    fallbacks: Sequence[Model | str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideInference:
    """Override settings in this step. A setting that is None stays as it is."""

    model: Model | str | None = None
    fallbacks: Sequence[Model | str] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    reasoning_effort: Effort | None = None


@dataclass(frozen=True, slots=True)
class Terminate:
    """End the run. After an inference, the log gets the turn first. The last `Terminate` wins."""

    termination: Termination = Termination(type="behavior_requested")  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Block:
    """Refuse the tool call. The model reads the reason. The last `Block` or `Suspend` of a call wins."""

    reason: str = "Blocked by a behavior"


@dataclass(frozen=True, slots=True)
class Suspend:
    """Ask a person to decide about the tool call. The run waits when nothing else is left to do."""

    action: str = ""
    """The kind of the question, for user interfaces: `approve`, `tool:PermissionConfirm`, … The default is
    `tool:` and the name of the tool."""

    message: str = ""
    """The question that the person reads."""

    parameters: Any = None
    """The subject of the question, as JSON. The default is the arguments of the call."""

    resume_mode: ResumeMode = "replay_tool_call"
    """How the call continues after approval."""

    response_schema: Any = None
    """The JSON schema of the answer's result, for user interfaces. threadlog does not check the result. If it
    becomes the arguments of the tool, it is checked as all arguments are."""


@dataclass(frozen=True, slots=True)
class SetToolResult:
    """Answer the tool call with this output. The tool does not run."""

    output: Any


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Add a message to the conversation, after the answer of the tool."""

    content: str
    role: Role = "system"
    visibility: Literal["all", "internal"] = "internal"
    """The model reads internal messages; user interfaces hide them by default."""


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
    Phase.BEFORE_INFERENCE: (State, *get_args(InferenceAction), Terminate),
    Phase.AFTER_INFERENCE: (State, Terminate),
    Phase.BEFORE_TOOL_EXECUTE: (State, Block, Suspend, SetToolResult),
    Phase.AFTER_TOOL_EXECUTE: (State, AddMessage),
}


def refuse_illegal(phase: Phase, actions: Sequence[object]) -> None:
    """Raise if one of the actions is not legal in the phase.

    Raises:
        PhaseError: names the first illegal action.
    """
    for action in actions:
        if not isinstance(action, LEGAL[phase]):
            raise PhaseError(f"{type(action).__name__} is not legal in the phase {phase.value!r}")
