"""Results of tools: what a tool returns or raises, and the answer that the loop makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from ...reducers.reduce import StateAction
from ...store.document import dumps, loads
from ...store.errors import ThreadlogError
from .actions import AddMessage, Suspend


class ToolError(ThreadlogError):
    """A tool call failed. The model reads the text, and the run continues. Tools may raise it."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returns when it does more than answer. Only actions change the state."""

    output: Any = None
    """The answer for the model: anything that pydantic can turn into JSON."""

    actions: Sequence[StateAction] = ()
    """Actions to reduce in order after the call has succeeded: all of them, or none."""

    messages: Sequence[AddMessage] = ()
    """Messages to add to the conversation after the answer of the tool."""

    suspend: Suspend | None = None
    """A question to a person. If it is set, the call is not finished but waits for the decision."""


_MESSAGE, _QUESTION = TypeAdapter(AddMessage), TypeAdapter(Suspend)

Outcome = Literal["succeeded", "failed", "suspended", "cancelled"]


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """How a tool call ended, as data."""

    outcome: Outcome
    result: Any = None
    actions: Sequence[StateAction] = ()
    messages: Sequence[AddMessage] = ()
    suspend: Suspend | None = None
    duration: int = 0
    """Microseconds."""

    executed: bool = False
    """Whether the tool was executed. Otherwise a behavior, a decision or a failed check gave the answer."""

    @classmethod
    def failure(cls, problem: str) -> "ToolAnswer":
        """Return the answer of a failed call, with the error that the model reads."""
        return cls("failed", {"error": problem})

    def with_duration(self, duration: int) -> "ToolAnswer":
        """Return the answer of a tool that was called and took this long."""
        return replace(self, duration=duration, executed=True)


def to_json_result(result: ToolResult) -> ToolResult:
    """Return the result with JSON values only, as the log keeps them.

    The log would refuse other values too, but then the run would fail instead of the call.

    Raises:
        ValidationError: a message or the question has the wrong form.
        ContentError, ValueError, TypeError: a value has no JSON form.
    """
    return ToolResult(
        _to_json(result.output),
        list(result.actions),
        [_MESSAGE.validate_python(_to_json(message)) for message in result.messages],
        None if result.suspend is None else _QUESTION.validate_python(_to_json(result.suspend)),
    )


def _to_json(value: Any) -> Any:
    return loads(dumps(to_jsonable_python(value)))
