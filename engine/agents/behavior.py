"""Behaviors: user code that runs in the phases of a run. Each phase has a method, which returns actions.

The returned actions are the only way in which a behavior changes a run. The behaviors of an agent run in
order, and each sees the state that the one before it has left.

A method is a plain function. A method that needs something from outside of the run is an `async def` and
calls `await context.effect(name, call)`. The log keeps the answer, and a replay reads it from there.

Cancelling a run interrupts the behavior that the run waits for. Only `after_tool_execute` and `run_end` may
finish, unless the run is cancelled twice or its runtime is closed.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import JsonValue

from ...reducers.phase import Phase
from ...reducers.reducer import Reducer
from ...reducers.scope import place
from ...reducers.tool_call import DecisionRecord
from ...store.changeset import Message, Scope, ToolCall, ToolOutcome
from ..models import Turn
from .actions import PhaseAction
from .tool import Tool
from .tool_context import read_copy

PhaseActions = PhaseAction | Iterable[PhaseAction] | None
"""The actions that a behavior asks for in a phase: one, several or none."""

PhaseResult = PhaseActions | Awaitable[PhaseActions]
"""What the method of a phase returns: a plain method the actions, an `async def` an awaitable of them."""


@dataclass(frozen=True, slots=True)
class Context:
    """The run as a behavior sees it: read-only."""

    phase: Phase
    run_id: str
    thread_id: str
    agent: str
    step: int
    """The number of the inference in the run, from 0."""

    messages: Sequence[Message]
    """The conversation so far, including the messages of this run."""

    tools: Collection[str]
    """Names of the agent's own tools, without those that its behaviors bring."""

    turn: Turn | None = None
    """The answer of the model, from `after_inference` to `step_end`."""

    error: str | None = None
    """Why no model answered, from `after_inference` to `step_end`."""

    call: ToolCall | None = None
    """The tool call, in `before_tool_execute` and `after_tool_execute`."""

    outcome: ToolOutcome | None = None
    """The outcome of the call, in `after_tool_execute`."""

    decision: DecisionRecord | None = None
    """A person's decision about the call, in `before_tool_execute` when the call resumes."""

    _state: Any = field(default=None, repr=False)
    _ask: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]] | None = field(
        default=None, repr=False
    )

    def read(self, path: str = "", default: Any = None, *, scope: Scope = "thread") -> Any:
        """Return a copy of the value at a JSON pointer of the state, in the scope of an action.

        Raises:
            ActionError: the scope is `tool_call`, but this is not a phase of a tool call.
        """
        return read_copy(self._state, place(scope, path, self.call.id if self.call else None), default)

    async def effect(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Await `call` and return its answer as JSON. The log keeps it under the name, for replays.

        A `call` that asks a model returns `ModelAnswer(answer, usage)`, so that the run counts the tokens.

        Raises:
            EffectError: `call` raised, or its answer is not JSON.
        """
        assert self._ask
        return await self._ask(name, call)


class Behavior:
    """The extension point for users: subclass it and write the methods of the phases you need.

    threadlog otherwise prefers composition. A base class fits here: a behavior has eight methods and five
    attributes, and most behaviors need one or two of them. The class supplies the rest.
    """

    after: Sequence[str] = ()
    """Names of behaviors that run before this one, wherever the agent lists them."""

    before: Sequence[str] = ()
    """Names of behaviors that run after this one, wherever the agent lists them."""

    reducers: Sequence[Reducer] = ()
    """Reducers for the state that the behavior keeps. They are added to those of the agent."""

    tools: Sequence[Tool] = ()
    """Tools that the behavior brings. They are added after those of the agent."""

    settings: Mapping[str, JsonValue] = MappingProxyType({})
    """How the behavior is configured. The log keeps it, and the fingerprint of the agent includes it."""

    @property
    def name(self) -> str:
        """The name, unique within an agent. The log keeps it with every action of the behavior."""
        return type(self).__name__

    def run_start(self, context: Context) -> PhaseResult: ...
    def step_start(self, context: Context) -> PhaseResult: ...
    def before_inference(self, context: Context) -> PhaseResult: ...
    def after_inference(self, context: Context) -> PhaseResult: ...
    def before_tool_execute(self, context: Context) -> PhaseResult: ...
    def after_tool_execute(self, context: Context) -> PhaseResult: ...
    def step_end(self, context: Context) -> PhaseResult: ...
    def run_end(self, context: Context) -> PhaseResult: ...
