"""Agents for two servers that have each other work. The environment says whose: NAME, OTHER and NOTES.

With DIES_AT the process is killed when a tool has been executed so often, before anybody else knows of it.

`worker` looks, pays, and says what it did; both tools note each of their executions durably. `chief` has the
other server's worker do a job, in the foreground or in the background, and reads what came of it.
"""

import os
import signal
from itertools import count

from pydantic import JsonValue

from threadlog.engine import Agent, ModelRequest, RemoteAgent, ScriptedModel, ToolCall, ToolContext, tool
from threadlog.engine.models.scripted import Answer, Script
from threadlog.store.document import loads

NAME, OTHER, NOTES = (os.environ[name] for name in ("NAME", "OTHER", "NOTES"))
DIES_AT = int(os.environ["DIES_AT"])
EXECUTIONS = count(1)
LONG_ENOUGH = 1000
"""Turns of a script that never comes to its end."""


def note(tool: str, key: str) -> None:
    """On the disk when this returns: who is killed right after it has done it."""
    file = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{tool} {key}\n".encode())
    os.fsync(file)
    os.close(file)
    if next(EXECUTIONS) == DIES_AT:
        os.kill(os.getpid(), signal.SIGKILL)


@tool(idempotent=True)
def look(context: ToolContext) -> str:
    """Look."""
    note("look", context.idempotency_key)
    return "seen"


@tool
def pay(context: ToolContext) -> str:
    """Pay."""
    note("pay", context.idempotency_key)
    return "paid"


def always(turn: Script) -> ScriptedModel:
    """A model that says the same in every process, by how far the conversation is."""
    return ScriptedModel(*[turn] * LONG_ENOUGH)


def working(request: ModelRequest) -> Answer:
    called = [call.id for message in request.messages for call in message.tool_calls]
    if len(called) < 2:
        return ToolCall(*[("look", {}, "c1"), ("pay", {}, "c2")][len(called)])
    return f"{NAME} did {request.messages[0].content}"


def leading(request: ModelRequest) -> Answer:
    """Of a prompt `foreground …` or `background …`, the rest is the job; `well?` asks for what came of it."""
    asked = [message.content for message in request.messages if message.role == "user"]
    told = [loads(message.content.encode()) for message in request.messages if message.role == "tool"]
    how, _, job = asked[0].partition(" ")
    if not told:
        wanted: dict[str, JsonValue] = {"agent_id": "other", "prompt": job, "background": how == "background"}
        return ToolCall("agent_run", wanted, "c1")
    if "output" in told[-1]:
        return str(told[-1]["output"])
    if told[-1]["status"] == "running" and len(asked) == 1:
        return "It is at work."
    return ToolCall("agent_output", {"run_id": told[-1]["run_id"]}, "c2")


worker = Agent("worker", always(working), tools=[look, pay])
chief = Agent("chief", always(leading), agents=["other"])
other = RemoteAgent("other", OTHER)
