"""Calls of the delegation tools, and the answers of these tools."""

from typing import Any

from threadlog.engine import ModelRequest, ToolCall
from threadlog.engine.models.scripted import Script
from threadlog.store.document import loads


def delegate(prompt: str = "Find inns", *, agent: str = "researcher", **arguments: Any) -> ToolCall:
    """Return a call that delegates to an agent."""
    return ToolCall("agent_run", {"agent_id": agent, "prompt": prompt, **arguments})


def tool_answers(messages: Any) -> list[Any]:
    """Return the content of each tool message as JSON."""
    return [loads(m.content.encode()) for m in messages if m.role == "tool"]


def call_with_last_run(tool: str) -> Script:
    """Return a turn that calls a tool with the run id in the latest tool message."""

    def call(request: ModelRequest) -> ToolCall:
        return ToolCall(tool, {"run_id": tool_answers(request.messages)[-1]["run_id"]})

    return call
