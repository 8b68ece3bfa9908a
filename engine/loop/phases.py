"""Calls an agent's behaviors in order, phase by phase."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from copy import deepcopy
from typing import Any

from anyio import get_cancelled_exc_class

from ...reducers.phase import Phase
from ...reducers.tool_call import DecisionRecord
from ...store.changeset import Interruption, ToolCall, ToolOutcome
from ...store.errors import BehaviorError, in_words
from ..agents import (
    Behavior,
    Context,
    PhaseAction,
    PhaseActions,
    PhaseResult,
    State,
    order_behaviors,
    refuse_illegal,
)
from ..commit import Workspace
from ..control import Interrupted, Mailbox
from ..models import Turn

_SHIELDED = (Phase.AFTER_TOOL_EXECUTE, Phase.RUN_END)
"""Phases in which behaviors react to what has happened. They finish even if the run is cancelled."""


class Phases:
    """The behaviors of one run."""

    def __init__(
        self,
        agent: str,
        behaviors: Sequence[Behavior],
        tools: Collection[str],
        work: Workspace,
        mailbox: Mailbox,
    ) -> None:
        self._agent = agent
        self._behaviors = order_behaviors(behaviors)
        self._tools = tools
        self._work = work
        self._mailbox = mailbox

    async def run(
        self,
        phase: Phase,
        step: int,
        *,
        turn: Turn | None = None,
        error: str | None = None,
        call: ToolCall | None = None,
        outcome: ToolOutcome | None = None,
        decision: DecisionRecord | None = None,
    ) -> list[PhaseAction]:
        """Call every behavior; each sees the state as the one before left it.

        State actions apply at once; the other actions are returned in order. If a behavior fails or is
        interrupted, nothing of the phase is kept.

        Raises:
            BehaviorError: naming the behavior.
            Interrupted: the run was cancelled while it waited for a behavior.
        """
        identity, actions = self._work.identity, list[PhaseAction]()
        with self._work.undo_on_error():
            for behavior in self._behaviors:
                context = Context(
                    phase,
                    identity.run_id,
                    identity.thread_id,
                    self._agent,
                    step,
                    tuple(self._work.messages),
                    self._tools,
                    turn=deepcopy(turn),
                    error=error,
                    call=deepcopy(call),
                    outcome=deepcopy(outcome),
                    decision=deepcopy(decision),
                    _state=self._work.state,
                    _ask=self._ask_for(behavior.name),
                )
                actions += await self._call(behavior, context)
        return actions

    async def _call(self, behavior: Behavior, context: Context) -> list[PhaseAction]:
        source = f"behavior:{behavior.name}:{context.phase.value}"
        try:
            result = await self._result_of(behavior, context)
            actions = [result] if isinstance(result, PhaseAction) else list(result or ())
            refuse_illegal(context.phase, actions)
            states = [action.action for action in actions if isinstance(action, State)]
            self._work.act(states, source=source, call_id=context.call.id if context.call else None)
        except Interrupted:
            raise
        except Exception as err:
            raise BehaviorError(behavior.name, context.phase.value, in_words(err)) from err
        return [action for action in actions if not isinstance(action, State)]

    async def _result_of(self, behavior: Behavior, context: Context) -> PhaseActions:
        returned: PhaseResult = getattr(behavior, context.phase.value)(context)
        if not isinstance(returned, Awaitable):
            return returned
        wait = Interruption(kind="behavior", name=behavior.name, phase=context.phase.value)
        try:
            with self._mailbox.interruptible(wait, shielded=context.phase in _SHIELDED):
                return await returned
        except (Interrupted, get_cancelled_exc_class()):
            self._work.record_interruption(wait)
            raise

    def _ask_for(self, behavior: str) -> Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]:
        async def ask(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
            return await self._work.ask(f"{behavior}:{name}", call)

        return ask
