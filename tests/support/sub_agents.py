"""A planner that delegates to a researcher, and the answers of its tools."""

from typing import Any

from threadlog.engine import Agent, ModelRequest, ScriptedModel, ToolCall
from threadlog.engine.models.scripted import Script
from threadlog.store.document import loads


def planner(*turns: Script, agents: Any = ("researcher",), **fields: Any) -> Agent:
    return Agent("planner", fields.pop("model", None) or ScriptedModel(*turns), agents=agents, **fields)


def researcher(*turns: Script, **fields: Any) -> Agent:
    model = fields.pop("model", None) or ScriptedModel(*turns)
    return Agent("researcher", model, **{"description": "Finds things.", **fields})


def delegate(prompt: str = "Find inns", **arguments: Any) -> ToolCall:
    return ToolCall("agent_run", {"agent_id": "researcher", "prompt": prompt, **arguments})


def answers(messages: Any) -> list[Any]:
    """What the tools have answered, as JSON."""
    return [loads(m.content.encode()) for m in messages if m.role == "tool"]


def of_run(tool: str) -> Script:
    """A call of a tool with the run that the last answer told of."""

    def call(request: ModelRequest) -> ToolCall:
        return ToolCall(tool, {"run_id": answers(request.messages)[-1]["run_id"]})

    return call
