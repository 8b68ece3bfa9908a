"""A process that dies with a tree of runs at work: killed_tree.py LOG

Its chief has a worker look, in the foreground. It says `at work` while that one looks, and then waits there.
"""

import os
import sys

import anyio

from threadlog.engine import Agent, ModelRequest, Runtime, ScriptedModel, ToolCall, tool
from threadlog.engine.models.scripted import Answer


def leading(request: ModelRequest) -> Answer:
    told = [message.content for message in request.messages if message.role == "tool"]
    return told[-1] if told else ToolCall("agent_run", {"agent_id": "worker", "prompt": "look"}, "c1")


def working(request: ModelRequest) -> Answer:
    is_done = any(message.role == "tool" for message in request.messages)
    return "I have looked" if is_done else ToolCall("look", {}, "c1")


def tree(*, is_mortal: bool) -> list[Agent]:
    """The chief and the worker, as they are in the process that dies, or in the next one."""

    @tool(idempotent=True)
    async def look() -> str:
        """Look."""
        if is_mortal:
            os.write(1, b"at work\n")
            await anyio.sleep_forever()
        return "seen"

    chief = Agent("chief", ScriptedModel(*[leading] * 9), agents=["worker"])
    return [chief, Agent("worker", ScriptedModel(*[working] * 9), tools=[look])]


async def work(path: str) -> None:
    async with Runtime.open(path, agents=tree(is_mortal=True)) as runtime:
        await (await runtime.start("chief", "go", thread="t1", id="r1")).result()


if __name__ == "__main__":
    anyio.run(work, sys.argv[1])
