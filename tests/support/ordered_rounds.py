"""Rounds of tool calls that end in a chosen order."""

from pathlib import Path

import anyio

from support.runs import asking, history
from threadlog.engine import ToolCall, ToolResult
from threadlog.reducers import Append, Merge

START = asking("run_start", Merge("", {"n": 0, "m": {}, "list": [1, 2]}), name="start")


class Relay:
    """Tools that end in an order of our choice: each waits for the one before it."""

    def __init__(self, *order: str) -> None:
        self._order = order
        self._ended = {name: anyio.Event() for name in order}

    async def act(self, name: str) -> ToolResult:
        place = self._order.index(name)
        if place:
            await self._ended[self._order[place - 1]].wait()
        self._ended[name].set()
        return ToolResult(name, [Append("/order", name)])


def calls(*names: str, tool: str = "act") -> list[ToolCall]:
    return [ToolCall(tool, {"name": name}, name) for name in names]


def ended(path: Path) -> list[str]:
    """The calls in the order of their commits."""
    return [outcome.call_id for changeset in history(path) for outcome in changeset.tool_calls]
