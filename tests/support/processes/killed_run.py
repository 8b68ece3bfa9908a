"""A process that dies or is stopped at its work: killed_run.py LOG [sequential | parallel] NAME…

Its agent asks for the calls of these names in one turn. It says `at work` in a tool, and then waits there.
"""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from pydantic import JsonValue

from threadlog.engine import (
    Agent,
    Behavior,
    Context,
    ModelRequest,
    Runtime,
    ScriptedModel,
    ToolCall,
    ToolContext,
    Turn,
    tool,
)
from threadlog.engine.events.event import TextDelta, ToolCallStarted
from threadlog.engine.models.model import Part
from threadlog.store.changeset import ToolExecution, Usage

SPENT = Usage(input_tokens=7, output_tokens=3)


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
async def pay() -> str:
    """Pay."""
    say("at work")
    await anyio.sleep_forever()
    return "paid"


@tool(idempotent=True)
async def look(context: ToolContext) -> str:
    """Look."""
    say(context.idempotency_key)
    say("at work")
    await anyio.sleep_forever()
    return "seen"


@tool
async def shielded() -> None:
    """Ignore cancellation."""
    say("at work")
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()


@tool
def doze() -> str:
    """Return when a file appears beside the log: time does not count while a process is suspended."""
    wait_for_a_file()
    return "awake"


def wait_for_a_file() -> None:
    say("at work")
    while not Path(sys.argv[1]).with_name("awake").exists():
        os.sched_yield()
    say("awake")


class Dozing(Behavior):
    """Lets nothing else be done while it looks at a call of `guarded`."""

    def before_tool_execute(self, context: Context) -> None:
        if context.call and context.call.name == "guarded":
            wait_for_a_file()


@tool
def guarded() -> str:
    """Leave a mark, behind a gate."""
    say("marked")
    return "marked"


@tool
def mark() -> str:
    """Leave a mark."""
    say("marked")
    return "marked"


TOOLS = (add, pay, look, shielded, doze, mark, guarded)


class Silent:
    """A model that says one turn and then never answers again."""

    name = "silent"

    def __init__(self, turn: Turn) -> None:
        self._turns = [turn] if turn.tool_calls else []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        if not self._turns:
            say("at work")
            await anyio.sleep_forever()
        async for part in ScriptedModel(self._turns.pop()).stream(request):
            yield part


def mortal(execution: ToolExecution, *names: str) -> Agent:
    """The agent that dies."""
    arguments: dict[str, JsonValue] = {"add": {"a": 1, "b": 2}}
    calls = [ToolCall(name, arguments.get(name), f"c{number}") for number, name in enumerate(names, 1)]
    model = Silent(Turn(tool_calls=calls, usage=SPENT))
    return Agent("planner", model, tools=TOOLS, behaviors=[Dozing()], tool_execution=execution)


async def work(path: str, agent: Agent) -> None:
    async with Runtime.open(path, agents=[agent]) as runtime:
        run = await runtime.start("planner", "go", thread="t1", id="r1")
        async for event in run:
            if not isinstance(event, TextDelta | ToolCallStarted):
                say(f"told {type(event).__name__}")
        say("over")


if __name__ == "__main__":
    log, execution, *names = sys.argv[1:]
    anyio.run(work, log, mortal("sequential" if execution == "sequential" else "parallel", *names))
