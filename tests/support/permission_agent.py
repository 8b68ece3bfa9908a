"""An agent with the behavior Permission, and the calls that need a permission."""

from typing import Any

from threadlog.engine import Agent, Decision, Permission, Runtime, ScriptedModel, ToolCall, tool


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


def agent(permission: Permission, *turns: Any, **fields: Any) -> Agent:
    given = {"model": ScriptedModel(*turns), "tools": [send, look], "behaviors": [permission], **fields}
    return Agent("planner", **given)


async def decided(runtime: Runtime, run_id: str, decision: Decision) -> str:
    """How the run went on."""
    resumed = await runtime.decide(run_id, [decision])
    assert resumed
    return (await resumed.result()).termination.type
