"""Agents for `threadlog serve`: one says what the test makes it say; others ask, give data, or fail.

The gate is a server of the test: every request of the model is a connection to it, on which the test
sends the parts of the answer, a line of JSON each.
"""

import json
import os
from collections.abc import AsyncIterator

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import BaseModel

from threadlog.engine import Agent, ModelError, ModelRequest, ScriptedModel, ToolCall, Turn, tool
from threadlog.engine.models.model import Part, TextPart


class AtTheGate:
    """A model that is somewhere else."""

    name = "at-the-gate"

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        async with await anyio.connect_tcp("127.0.0.1", int(os.environ["GATE"])) as stream:
            messages = [[message.role, message.content] for message in request.messages]
            await stream.send(json.dumps(messages).encode() + b"\n")
            lines = BufferedByteReceiveStream(stream)
            while (said := json.loads(await lines.receive_until(b"\n", 65536))) is not None:
                if said.get("fails"):
                    raise ModelError("auth", said["fails"])
                if "text" in said:
                    yield TextPart(said["text"])
                else:
                    calls = [ToolCall(**call) for call in said["calls"]]
                    async for part in ScriptedModel(Turn(tool_calls=calls)).stream(request):
                        yield part


@tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pay a bill."""
    return f"paid {amount}"


@tool
async def hang() -> None:
    """Never answer."""
    await anyio.sleep_forever()


class Trip(BaseModel):
    """Where to, for how long."""

    city: str
    days: int


def after_paying(request: ModelRequest) -> str | list[ToolCall]:
    """What the model says, by how far the conversation is: the process may be a new one."""
    asked = [message.content for message in request.messages if message.content in ("pay it", "pay both")]
    if len(asked) > len([message for message in request.messages if message.tool_calls]):
        return [
            ToolCall("pay", {"amount": amount}) for amount in ([7, 8] if asked[-1] == "pay both" else [7])
        ]
    told = [message.content for message in request.messages if message.role == "tool"]
    return f"The tool said: {' '.join(told)}"


planner = Agent("planner", AtTheGate(), instructions="A secret.", tools=[pay])
payer = Agent("payer", ScriptedModel(*[after_paying] * 99), tools=[pay])
tripper = Agent(
    "tripper",
    ScriptedModel(*[ToolCall("final_output", {"city": "Kyoto", "days": 3})] * 9),
    output_type=Trip,
)
talker = Agent("talker", ScriptedModel(*["Three days in Kyoto."] * 99))
stuck = Agent("stuck", ScriptedModel(*[ToolCall("hang")] * 9), tools=[hang])
failing = Agent("failing", ScriptedModel(*[ModelError("auth", "no such key")] * 9))
stopping = Agent("stopping", ScriptedModel(*[ToolCall("nothing")] * 9), max_rounds=1)
