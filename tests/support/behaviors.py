"""Behaviors that return chosen actions in chosen phases."""

from collections.abc import Callable, Iterator
from typing import Any

from threadlog.engine import Behavior, Context, State
from threadlog.engine.agents.behavior import PhaseActions, PhaseResult
from threadlog.reducers import Set, StateAction
from threadlog.reducers.phase import Phase

PHASES = [phase.value for phase in Phase]


class PhaseBehavior(Behavior):
    """Calls a function in every phase and returns its actions. The default function returns none."""

    def __init__(
        self, act: Callable[[Context], PhaseActions] = lambda context: None, name: str = "behavior"
    ) -> None:
        self._act = act
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def run_start(self, context: Context) -> PhaseResult:
        return self._act(context)

    step_start = before_inference = after_inference = step_end = run_start
    before_tool_execute = after_tool_execute = run_end = run_start


def act_in(phase: str, *actions: Any, name: str = "acting") -> PhaseBehavior:
    """Return a behavior that returns these actions in one phase. State actions are wrapped in `State`."""
    wrapped = [State(action) if isinstance(action, StateAction) else action for action in actions]
    return PhaseBehavior(lambda context: wrapped if context.phase == phase else None, name)


def fail_in(phase: str, name: str = "failing") -> PhaseBehavior:
    """Return a behavior that sets `/failing` in one phase and then raises."""

    def fail(context: Context) -> Iterator[State]:
        if context.phase == phase:
            yield State(Set("/failing", True))
            raise ValueError("no luck")

    return PhaseBehavior(fail, name)
