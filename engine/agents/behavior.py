"""Behaviors: how a user takes part in a run. A method per phase, each given a context, returning actions.

A behavior acts through the actions it returns and in no other way. Behaviors of an agent are asked in
order, and each sees the state as the one before it left it.

Methods are plain functions. One that must ask the world is an `async def` and does so through
`await context.effect(name, call)`: the answer is in the log, and is served from there in a replay.

A run that is cancelled cuts off the behavior that it waits for. One that is told of an end, a call's or the
run's, may finish, unless the run is cancelled twice or its runtime is left.
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
from .tool import Tool, copied

Wanted = PhaseAction | Iterable[PhaseAction] | None
Returned = Wanted | Awaitable[Wanted]


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

    tools: Collection[str]
    """Names of the tools that the agent itself was given, those aside that its behaviors bring."""

    turn: Turn | None = None
    """The model's answer: from `after_inference` to `step_end`."""

    error: str | None = None
    """Why no model answered, in the same phases."""

    call: ToolCall | None = None
    """The tool call: in its two phases."""

    outcome: ToolOutcome | None = None
    """What the call gave: in `after_tool_execute`."""

    decision: DecisionRecord | None = None
    """What a person decided about this very call: in `before_tool_execute`, when it goes on."""

    _state: Any = field(default=None, repr=False)
    _ask: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]] | None = field(
        default=None, repr=False
    )

    def read(self, path: str = "", default: Any = None, *, scope: Scope = "thread") -> Any:
        """The value at a JSON pointer of the state, where an action of the scope writes it: a copy.

        Raises:
            ActionError: the scope is `tool_call`, and this is no phase of a tool call.
        """
        return copied(self._state, place(scope, path, self.call.id if self.call else None), default)

    async def effect(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the world: what `call` gives, as JSON. It is in the log under the name; a replay serves it.

        A `call` that asks a model gives `Paid(answer, usage)`: the tokens are counted as the run's.

        Raises:
            EffectError: `call` raised, or gave what is not JSON.
        """
        assert self._ask
        return await self._ask(name, call)


class Behavior:
    """Subclass it, and write the methods of the phases you want to take part in."""

    after: Sequence[str] = ()
    """Names of behaviors that are asked before this one, wherever they stand."""

    before: Sequence[str] = ()
    """Names of behaviors that are asked after this one, wherever they stand."""

    reducers: Sequence[Reducer] = ()
    """Reducers of the state it keeps: an agent that has the behavior has them too."""

    tools: Sequence[Tool] = ()
    """Tools it brings: an agent that has the behavior has them too, behind its own."""

    settings: Mapping[str, JsonValue] = MappingProxyType({})
    """What it was made with and goes by: in the log with the agent, and in its fingerprint."""

    @property
    def name(self) -> str:
        """Unique among the behaviors of an agent; in the log with every action it asks for."""
        return type(self).__name__

    def run_start(self, context: Context) -> Returned: ...
    def step_start(self, context: Context) -> Returned: ...
    def before_inference(self, context: Context) -> Returned: ...
    def after_inference(self, context: Context) -> Returned: ...
    def before_tool_execute(self, context: Context) -> Returned: ...
    def after_tool_execute(self, context: Context) -> Returned: ...
    def step_end(self, context: Context) -> Returned: ...
    def run_end(self, context: Context) -> Returned: ...
