"""The messages and the state that a sub-agent inherits from the run that starts it."""

from collections.abc import Sequence

from pydantic import JsonValue

from ...reducers.sub_agent import SUB_AGENTS
from ...store.changeset import Message
from ..agents import ToolContext
from ..behaviors import HANDOFF, POLICY

_THREAD_ONLY = (SUB_AGENTS, HANDOFF)
"""State that belongs to one thread: the sub-agents it started, and the agent that took it over."""


def initial_state(context: ToolContext) -> dict[str, JsonValue]:
    """Return the state of a sub-agent with a new conversation: the caller's permission policy."""
    policy: JsonValue = context.read(POLICY)
    return {} if policy is None else {POLICY.lstrip("/"): policy}


def fork_state(context: ToolContext) -> dict[str, JsonValue]:
    """Return a copy of the caller's state, without threadlog's own and what belongs to the thread."""
    thread_only = [path.lstrip("/") for path in _THREAD_ONLY]
    state: dict[str, JsonValue] = context.read()
    return {key: value for key, value in state.items() if not key.startswith("__") and key not in thread_only}


def fork_messages(messages: Sequence[Message]) -> list[Message]:
    """Return a conversation that another agent can continue: without system messages and open calls."""
    visible = [message for message in messages if message.visibility == "all" and message.role != "system"]
    called = {call.id for message in visible for call in message.tool_calls}
    answered = called & {message.tool_call_id for message in visible if message.role == "tool"}
    return [
        message.model_copy(update={"tool_calls": tuple(c for c in message.tool_calls if c.id in answered)})
        for message in visible
        if message.role != "tool" or message.tool_call_id in answered
    ]
