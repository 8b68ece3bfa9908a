"""The context of a tool call: ids, a person's decision, the state and the conversation, progress reports."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from anyio import NoEventLoopError, from_thread

from ...reducers.scope import place
from ...reducers.tool_call import DecisionRecord
from ...store.changeset import Message, Scope
from ...store.document import dumps, loads
from ...store.patch import MISSING, find


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The call that a tool serves, and read access to its run."""

    run_id: str
    thread_id: str
    call_id: str
    agent: str
    idempotency_key: str
    """The same each time this call is made again. Pass it to services that must not act twice."""

    decision: DecisionRecord | None = None
    """A person's decision about the call, if one was needed."""

    _state: Any = field(default=None, repr=False)
    _messages: Sequence[Message] = field(default=(), repr=False)
    _report: Callable[[Any], None] = field(default=print, repr=False)

    def read(self, path: str = "", default: Any = None, *, scope: Scope = "thread") -> Any:
        """Return a copy of the value at a JSON pointer of the state, as it was when the call began.

        The pointer is relative to the scope, as in an action. The scope `tool_call` is that of this call.
        """
        return read_copy(self._state, place(scope, path, self.call_id), default)

    def messages(self) -> tuple[Message, ...]:
        """Return a copy of the conversation, as it was when the call began."""
        return deepcopy(tuple(self._messages))

    def progress(self, value: Any) -> None:
        """Report progress to the subscribers of the run. The log does not keep it."""
        try:
            from_thread.run_sync(self._report, value)
        except NoEventLoopError:
            self._report(value)


def read_copy(document: Any, path: str, default: Any) -> Any:
    """Return a copy of the value at a JSON pointer, or the default. The caller may change the copy."""
    found = find(document, path)
    return default if found is MISSING else loads(dumps(found))
