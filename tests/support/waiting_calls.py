"""Calls that wait for a person, their agent, and the decisions about them."""

from pathlib import Path
from typing import Any

from support.runs import add, agent, erase, history, run, running
from threadlog.engine import Agent, Decision, ToolCall
from threadlog.engine.events.event import RunResult
from threadlog.store.changeset import ActionRecord

ERASE = ToolCall("erase", {"amount": 7}, "c1")
ADD = ToolCall("add", {"a": 1, "b": 2}, "c2")
AWAITING = "Tool 'erase' is awaiting approval. Execution paused."


def eraser(*turns: Any, **fields: Any) -> Agent:
    return agent(*turns, **{"tools": [erase, add], **fields})


async def decided(path: Path, planner: Agent, *decisions: Decision) -> RunResult:
    """A run that waits, and then goes on as was decided."""
    first = await run(path, planner)
    assert (first.status, first.termination.type) == ("waiting", "suspended")
    async with running(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, decisions)
        assert resumed
        return await resumed.result()


APPROVE, DENY = Decision.approve("c1"), Decision.deny("c1")


def actions(path: Path, name: str) -> list[ActionRecord]:
    return [action for changeset in history(path) for action in changeset.actions if action.action == name]
