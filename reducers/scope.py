"""Scopes: the part of the state that an action writes to, and the reserved places in it. Pure.

    thread      /<pointer>                              lives as long as the thread
    run         /__run/<pointer>                        deleted when the next run of the thread starts
    tool_call   /__tool_call_scope/<call id>/<pointer>  deleted when a run starts with a user message

A call id is a single reference token, whatever it contains. An action for a tool call that names no call is
refused.
"""

from ..store.changeset import Scope
from ..store.document import pointer
from ..store.errors import ActionError
from ..store.patch import tokens

RUN = "/__run"
TOOL_CALLS = "/__tool_call_scope"
TOOL_CALL_STATE = "/tool_call_state"

_RESERVED: dict[Scope, frozenset[str]] = {
    "thread": frozenset(),
    "run": frozenset({"id", "status", "done_reason"}),
    "tool_call": frozenset({"tool_call_state", "suspended_call"}),
}


def route(scope: Scope, path: str, call_id: str | None) -> str:
    """Return the pointer into the whole document for a pointer relative to a scope.

    Raises:
        ActionError: the path is not a JSON pointer, is reserved, or the tool call is not named.
    """
    try:
        first = next(iter(tokens(path)), "")
    except (ValueError, TypeError) as err:
        raise ActionError(f"{path!r} is no JSON pointer: {err}") from None
    if first.startswith("__") or first in _RESERVED[scope]:
        raise ActionError(f"{path!r} is kept by threadlog itself: choose another name")
    if not first and scope != "thread":
        raise ActionError(f"the scope {scope!r} has no value of its own at {path!r}: name a place in it")
    return place(scope, path, call_id)


def place(scope: Scope, path: str, call_id: str | None) -> str:
    """Return the same as `route`, without reserved places: for reading, and for reducers of threadlog."""
    if scope == "run":
        return RUN + path
    if scope == "thread":
        return path
    if not call_id:
        raise ActionError(f"{path!r} in the scope 'tool_call' names no tool call")
    return f"{TOOL_CALLS}{pointer((call_id,))}{path}"
