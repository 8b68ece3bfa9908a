"""What a sub-agent is given of the conversation and the state of the run that wants it."""

from collections.abc import Sequence
from typing import Any

from ...reducers.sub_agent import SUB_AGENTS
from ...store.changeset import Message
from ..agents import ToolContext
from ..behaviors import HANDOFF, POLICY

_OWN = (SUB_AGENTS, HANDOFF)
"""What is the thread's own: another one has not started its runs, nor is it spoken to by its agents."""


def seeded_state(context: ToolContext) -> dict[str, Any]:
    """For one that begins with nothing: what it may do, and what it must ask for."""
    policy = context.read(POLICY)
    return {} if policy is None else {POLICY.lstrip("/"): policy}


def forked_state(context: ToolContext) -> dict[str, Any]:
    """For one that knows all: the caller's state, without what is threadlog's own or the thread's."""
    own = [path.lstrip("/") for path in _OWN]
    state: dict[str, Any] = context.read()
    return {key: value for key, value in state.items() if not key.startswith("__") and key not in own}


def forked_messages(messages: Sequence[Message]) -> list[Message]:
    """The part of a conversation that can be gone on with: without instructions and calls left open."""
    shown = [message for message in messages if message.visibility == "all" and message.role != "system"]
    asked = {call.id for message in shown for call in message.tool_calls}
    paired = asked & {message.tool_call_id for message in shown if message.role == "tool"}
    return [
        message.model_copy(update={"tool_calls": tuple(c for c in message.tool_calls if c.id in paired)})
        for message in shown
        if message.role != "tool" or message.tool_call_id in paired
    ]
