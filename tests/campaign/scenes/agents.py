"""The agents of the campaign: what they do next depends on nothing but what was said so far.

So a run that resumes in another process continues in the same way. Every tool says when it begins to have its
effect. Calls have ids that come once in a run.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from campaign.scenes.witness import Effect, Witness
from support.reducers import Spend, budget
from threadlog.engine import (
    Agent,
    ModelRequest,
    RemoteAgent,
    ScriptedModel,
    Tool,
    ToolCall,
    ToolContext,
    ToolResult,
    tool,
)
from threadlog.engine.agents.registry import Registered
from threadlog.engine.models.scripted import Answer
from threadlog.store.document import loads

LONG_ENOUGH = 1000
"""Turns of a script that never comes to its end."""

IDEMPOTENT = ("look", "add")
COUNTED = ("pay", "add")
"""The tools that count in the state how often they have succeeded."""

Round = Sequence[ToolCall] | Callable[[ModelRequest], Answer]


class Cast:
    """The agents. They are made before processes are forked, and enter in each of these."""

    def __init__(self, url: str) -> None:
        self.agents = self._agents(url)

    def enter(self, witness: Witness, *, is_first: bool) -> None:
        """Be there. In the first process of a case `wait` is never done, in the next one at once."""
        self.at_work = anyio.Event()
        """Set when a tool has begun that is never done."""
        self._witness = witness
        self._is_first = is_first

    def _agents(self, url: str) -> list[Registered]:
        tools = self._tools()
        one_by_one = [[call("look", 1), call("pay", 2)], [call("pay", 3), call("look", 4)]]
        at_once = [[call("look", 1), call("pay", 2), call("add", 3)], [call("add", 4), call("pay", 5)]]
        chief: list[Round] = [
            [call("agent_run", 1, agent_id="worker", prompt="look")],
            [call("agent_run", 2, agent_id="waiter", prompt="wait", background=True)],
            stopping,
        ]
        owner = [call("agent_run", 1, agent_id="waiter", prompt="wait")]
        own = [
            Agent("planner", model(*one_by_one), tool_execution="sequential"),
            Agent("juggler", model(*at_once)),
            Agent("eraser", model([call("erase", 1), call("look", 2)], [call("erase", 3)])),
            Agent("waiter", model([call("look", 1), call("wait", 2)])),
            Agent("worker", model([call("pay", 1)])),
            Agent("chief", model(*chief), agents=["worker", "waiter"]),
            Agent("owner", model(owner), agents=["waiter"]),
        ]
        equipped = [replace(agent, tools=tools, reducers=[budget]) for agent in own]
        return [*equipped, RemoteAgent("helper", url)]

    def _tools(self) -> list[Tool]:
        @tool(idempotent=True)
        async def look(context: ToolContext) -> str:
            """Look."""
            self._note("look", context)
            return "seen"

        @tool(idempotent=True)
        async def add(context: ToolContext) -> ToolResult:
            """Add one."""
            self._note("add", context)
            return ToolResult("added", [Spend(amount=1)])

        @tool
        async def pay(context: ToolContext) -> ToolResult:
            """Pay."""
            self._note("pay", context)
            return ToolResult("paid", [Spend(amount=1)])

        @tool(needs_approval=True)
        async def erase(context: ToolContext) -> str:
            """Erase."""
            self._note("erase", context)
            return "erased"

        @tool
        async def wait(context: ToolContext) -> str:
            """Wait."""
            self._note("wait", context)
            self.at_work.set()
            if self._is_first:
                await anyio.sleep_forever()
            return "waited"

        return [look, add, pay, erase, wait]

    def _note(self, name: str, context: ToolContext) -> None:
        at = time.time_ns() // 1000
        self._witness.effect(Effect(name, context.run_id, context.call_id, context.idempotency_key, at))


def call(name: str, number: int, **arguments: str | bool) -> ToolCall:
    return ToolCall(name, dict(arguments), f"c{number}")


def model(*rounds: Round) -> ScriptedModel:
    """A model that makes these rounds of calls in every run, and is done."""

    def answer(request: ModelRequest) -> Answer:
        run_id = next(each.run_id for each in reversed(request.messages) if each.run_id)
        own = [each for each in request.messages if each.run_id == run_id and each.tool_calls]
        if len(own) == len(rounds):
            return "done"
        due = rounds[len(own)]
        return due(request) if callable(due) else list(due)

    return ScriptedModel(*[answer] * LONG_ENOUGH)


def stopping(request: ModelRequest) -> Answer:
    """Stops what its second call has started, if it has."""
    told = next((each for each in request.messages if each.tool_call_id == "c2"), None)
    if (
        told is None
        or not told.content.startswith("{")
        or "run_id" not in (found := loads(told.content.encode()))
    ):
        return "done"
    return call("agent_stop", 3, run_id=found["run_id"])
