"""Behaviors: how a user takes part in a run. A method per phase, each given a context, returning actions.

A behavior acts through the actions it returns and in no other way. Behaviors of an agent are asked in
order, and each sees the state as the one before it left it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..reducers.phase import Phase
from ..reducers.reduce import StateAction
from ..store.changeset import Message, ToolCall, ToolOutcome
from ..store.errors import PhaseError
from .model import Turn
from .tool import copied


@dataclass(frozen=True, slots=True)
class State:
    """Change state: legal in every phase."""

    action: StateAction


PhaseAction = State
Wanted = PhaseAction | Iterable[PhaseAction] | None

LEGAL: dict[Phase, tuple[type[PhaseAction], ...]] = dict.fromkeys(Phase, (State,))
"""Which actions may be returned in which phase."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a behavior may know. Nothing in it can be changed through it."""

    phase: Phase
    run_id: str
    thread_id: str
    agent: str
    step: int
    """0 for the first inference of the run."""

    messages: Sequence[Message]
    """The conversation so far, this run's own messages included."""

    turn: Turn | None = None
    """The model's answer: from `after_inference` to `step_end`."""

    call: ToolCall | None = None
    """The tool call: in its two phases."""

    outcome: ToolOutcome | None = None
    """What the call gave: in `after_tool_execute`."""

    _state: Any = field(default=None, repr=False)

    def read(self, path: str = "", default: Any = None) -> Any:
        """The value at a JSON pointer of the thread's state: a copy."""
        return copied(self._state, path, default)


class Behavior:
    """Subclass it, and write the methods of the phases you want to take part in."""

    @property
    def name(self) -> str:
        """Unique among the behaviors of an agent; in the log with every action it asks for."""
        return type(self).__name__

    def run_start(self, context: Context) -> Wanted: ...
    def step_start(self, context: Context) -> Wanted: ...
    def before_inference(self, context: Context) -> Wanted: ...
    def after_inference(self, context: Context) -> Wanted: ...
    def before_tool_execute(self, context: Context) -> Wanted: ...
    def after_tool_execute(self, context: Context) -> Wanted: ...
    def step_end(self, context: Context) -> Wanted: ...
    def run_end(self, context: Context) -> Wanted: ...


def wanted(behavior: Behavior, context: Context) -> tuple[PhaseAction, ...]:
    """The actions a behavior asks for in the context's phase.

    Raises:
        PhaseError: one of them is not legal in this phase.
        Exception: whatever the behavior raises.
    """
    returned = getattr(behavior, context.phase.value)(context)
    actions = (returned,) if isinstance(returned, PhaseAction) else tuple(returned or ())
    for action in actions:
        if not isinstance(action, LEGAL[context.phase]):
            raise PhaseError(f"{type(action).__name__} is not legal in the phase {context.phase.value!r}")
    return actions
