"""Agents for very many runs at once, which do what their prompt says: see SCRIPTS.

Everything they do is a function of the conversation, so that any process may go on with any of their runs.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from threadlog.engine import Agent, ModelRequest, ScriptedModel, Timeout, ToolCall, ToolContext, tool
from threadlog.engine.models.model import Part
from threadlog.engine.models.scripted import Answer

Note = Callable[[str], None]


def _delegated(background: bool) -> ToolCall:
    return ToolCall("agent_run", {"agent_id": "helper", "prompt": "parallel", "background": background}, "c1")


SCRIPTS: Mapping[str, Sequence[Answer]] = {
    "plain": [ToolCall("note", {}, "c1")],
    "parallel": [
        [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("note", {}, "c2"), ToolCall("fail", {}, "c3")]
    ],
    "asking": [ToolCall("erase", {}, "c1")],
    "asking twice": [[ToolCall("erase", {}, "c1"), ToolCall("note", {}, "c2")], ToolCall("erase", {}, "c3")],
    "delegating": [_delegated(False)],
    "delegating on": [_delegated(True), ToolCall("note", {}, "c2")],
}
"""By prompt: the turns, behind which the run is done."""

SAID = "done"
LONG = Timeout(3600)
"""None of their epochs takes so long."""


class Scripted:
    """A model that gives the next turn of a run, whichever process gave the earlier ones."""

    name = "scripted"

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        prompt = next(m for m in reversed(request.messages) if m.role == "user" and m.content in SCRIPTS)
        own = [m for m in request.messages if m.run_id == prompt.run_id and m.tool_calls]
        script = SCRIPTS[prompt.content]
        turn = script[len(own)] if len(own) < len(script) else SAID
        async for part in ScriptedModel(turn).stream(request):
            yield part


def crew(noted: Note = lambda _: None) -> list[Agent]:
    """The planner, who may have the helper work for him. What they do is noted by the key of the call."""

    @tool
    def note(context: ToolContext) -> str:
        """Note."""
        noted(context.idempotency_key)
        return "noted"

    @tool
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @tool
    def fail() -> str:
        """Fail."""
        raise ValueError("no luck")

    @tool(needs_approval=True)
    def erase(context: ToolContext) -> str:
        """Erase."""
        noted(context.idempotency_key)
        return "erased"

    tools = [note, add, fail, erase]
    return [
        Agent("planner", Scripted(), tools=tools, agents=["helper"], stop_when=[LONG]),
        Agent("helper", Scripted(), tools=tools, stop_when=[LONG]),
    ]
