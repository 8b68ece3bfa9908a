"""Agents that have others work for them, for the command: a planner, a researcher, a reader."""

from typing import Any

import anyio

from threadlog.engine import Agent, ModelRequest, ScriptedModel, ToolCall, tool
from threadlog.store.document import loads


@tool
async def think() -> str:
    """Think for ever."""
    await anyio.sleep_forever()
    return ""


def delegate(agent: str, **arguments: Any) -> ToolCall:
    return ToolCall("agent_run", {"agent_id": agent, "prompt": "Find inns", **arguments})


def read(request: ModelRequest) -> ToolCall:
    (answer,) = [message for message in request.messages if message.role == "tool"]
    return ToolCall("agent_output", {"run_id": loads(answer.content.encode())["run_id"]})


planner = Agent(
    "planner",
    ScriptedModel(delegate("researcher"), read, "Three inns are found."),
    agents=["researcher"],
)
leaver = Agent("leaver", ScriptedModel(delegate("thinker", background=True), "Later."), agents=["thinker"])
researcher = Agent("researcher", ScriptedModel(delegate("reader"), "Three inns"), agents=["reader"])
reader = Agent("reader", ScriptedModel("read"))
thinker = Agent("thinker", ScriptedModel(ToolCall("think")), tools=[think])
