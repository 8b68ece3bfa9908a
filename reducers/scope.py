"""Scopes: which part of the state document an action is routed to, and what in it is reserved. Pure.

    thread      /<pointer>                              lives as long as the thread
    run         /__run/<pointer>                        gone when the next run of the thread starts
    tool_call   /__tool_call_scope/<call id>/<pointer>  gone when a run starts with a user's message

A call id is one reference token whatever it contains; an action for a tool call that names no call is
refused rather than written somewhere else.
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
    """The pointer into the document for a pointer within a scope.

    Raises:
        ActionError: the path is no pointer, is reserved, or the call it belongs to is not named.
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
    """As `route`, with nothing reserved: for threadlog's own reducers, and for readers."""
    if scope == "run":
        return RUN + path
    if scope == "thread":
        return path
    if not call_id:
        raise ActionError(f"{path!r} in the scope 'tool_call' names no tool call")
    return f"{TOOL_CALLS}{pointer((call_id,))}{path}"
