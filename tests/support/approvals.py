"""Calls that wait for approval, decisions about them, and an agent with the behavior `Permission`."""

from typing import Any

from threadlog.engine import Agent, Decision, Permission, Runtime, ScriptedModel, ToolCall, tool

SECOND_ADD = ToolCall("add", {"a": 1, "b": 2}, "c2")
"""A call to make in one turn with `ERASE`, whose id is c1."""

AWAITING_APPROVAL = "Tool 'erase' is awaiting approval. Execution paused."
APPROVE, DENY = Decision.approve("c1"), Decision.deny("c1")


@tool
async def send(to: str, text: str = "") -> str:
    """Send a message."""
    return f"sent to {to}"


@tool
async def look(path: str) -> str:
    """Look at a file."""
    return f"looked at {path}"


SEND = ToolCall("send", {"to": "ann"}, "c1")
LOOK = ToolCall("look", {"path": "/tmp/a"}, "c2")


def permission_agent(permission: Permission, *turns: Any, **fields: Any) -> Agent:
    """Return an agent with the tools `send` and `look` whose calls a permission decides about."""
    given = {"model": ScriptedModel(*turns), "tools": [send, look], "behaviors": [permission], **fields}
    return Agent("planner", **given)


async def resume_with(runtime: Runtime, run_id: str, decision: Decision) -> str:
    """Resume a waiting run with a decision, and return how its next epoch ended."""
    resumed = await runtime.decide(run_id, [decision])
    return (await resumed.result()).termination.type
