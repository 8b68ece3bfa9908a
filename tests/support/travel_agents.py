"""Agents for `threadlog run FILE.py:AGENT`: one books, one asks first, one hangs, one fails."""

import anyio

from threadlog.engine import Agent, ModelError, ModelRequest, ScriptedModel, ToolCall, tool


@tool
def book(city: str) -> str:
    """Book a night."""
    return f"booked {city}"


@tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pay a bill."""
    return f"paid {amount}"


@tool
async def hang() -> None:
    """Never answer."""
    await anyio.sleep_forever()


def after_paying(request: ModelRequest) -> str | ToolCall:
    """What the model says, by how far the conversation is: the process may be a new one."""
    answers = [message.content for message in request.messages if message.role == "tool"]
    return f"The tool said: {answers[-1]}" if answers else ToolCall("pay", {"amount": 7})


booker = Agent("booker", ScriptedModel(ToolCall("book", {"city": "Kyoto"}), "Kyoto is booked."), tools=[book])
payer = Agent("payer", ScriptedModel(after_paying, after_paying), tools=[pay])
stuck = Agent("stuck", ScriptedModel(ToolCall("hang")), tools=[hang])
failing = Agent("failing", ScriptedModel(ModelError("auth", "no such key")))
