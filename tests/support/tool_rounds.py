"""Rounds of tool calls that finish in a chosen order."""

from pathlib import Path

import anyio

from support.behaviors import act_in
from support.log_reads import read_history
from threadlog.engine import ToolCall, ToolResult
from threadlog.reducers import Append, Merge

INITIAL_STATE = act_in("run_start", Merge("", {"n": 0, "m": {}, "list": [1, 2]}), name="start")


class OrderedTool:
    """A tool whose calls finish in a chosen order: each waits for the one before it."""

    def __init__(self, *order: str) -> None:
        self._order = order
        self._finished = {name: anyio.Event() for name in order}

    async def act(self, name: str) -> ToolResult:
        place = self._order.index(name)
        if place:
            await self._finished[self._order[place - 1]].wait()
        self._finished[name].set()
        return ToolResult(name, [Append("/order", name)])


def named_calls(*names: str, tool: str = "act") -> list[ToolCall]:
    """Return a call for each name, with the name as its argument and its id."""
    return [ToolCall(tool, {"name": name}, name) for name in names]


def read_completion_order(path: Path) -> list[str]:
    """Return the ids of the calls in the order of their commits."""
    return [outcome.call_id for changeset in read_history(path) for outcome in changeset.tool_calls]
