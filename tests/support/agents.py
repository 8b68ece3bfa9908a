"""The agents of tests. All factories return an agent named `planner` unless they say otherwise."""

from typing import Any

import anyio

from support.models import GatedModel
from support.reducers import REDUCERS
from support.tools import TOOLS, add, erase
from threadlog.engine import Agent, ScriptedModel, ToolCall
from threadlog.engine.models.scripted import Script


def scripted_agent(*turns: Any, **fields: Any) -> Agent:
    """Return an agent with `TOOLS` and `REDUCERS` whose model answers with these turns."""
    given = {"name": "planner", "model": ScriptedModel(*turns), "tools": TOOLS, "reducers": REDUCERS}
    return Agent(**{**given, **fields})


def approval_agent(*turns: Any, **fields: Any) -> Agent:
    """Return a scripted agent with the tools `erase`, which needs approval, and `add`."""
    return scripted_agent(*turns, **{"tools": [erase, add], **fields})


def gated_agent(model: Any = None, **fields: Any) -> Agent:
    """Return an agent with the tools `erase` and `add` and a model that the test answers for."""
    return Agent(**{"name": "planner", "model": model or GatedModel(), "tools": [erase, add], **fields})


def hanging_agent(*, behaviors: Any = ()) -> tuple[Agent, anyio.Event]:
    """Return a scripted agent that calls a tool which never returns, and an event set by that tool."""
    started = anyio.Event()

    async def wait() -> None:
        started.set()
        await anyio.sleep_forever()

    return scripted_agent(ToolCall("wait", id="c1"), tools=[wait], behaviors=behaviors), started


def delegating_agent(*turns: Script, agents: Any = ("researcher",), **fields: Any) -> Agent:
    """Return an agent without tools of its own that can delegate to other agents."""
    return Agent("planner", fields.pop("model", None) or ScriptedModel(*turns), agents=agents, **fields)


def researcher(*turns: Script, **fields: Any) -> Agent:
    """Return the agent `researcher`."""
    model = fields.pop("model", None) or ScriptedModel(*turns)
    return Agent("researcher", model, **{"description": "Finds things.", **fields})
