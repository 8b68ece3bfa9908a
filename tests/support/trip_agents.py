"""An agent that books nights, and one that fails: what the tests of the command look into."""

from dataclasses import replace
from pathlib import Path

import anyio
from pydantic import BaseModel

from threadlog.engine import Agent, Runtime, ScriptedModel, ToolCall, ToolResult, Turn, tool
from threadlog.reducers import Action, Append, Delete, Set, reducer
from threadlog.store import ThreadMetadata
from threadlog.store.changeset import Usage


class Budget(BaseModel):
    spent: int = 0


class Spend(Action):
    amount: int


@reducer("/budget")
def budget(slice: Budget, action: Spend) -> Budget:
    return Budget(spent=slice.spent + action.amount)


@tool
def book(city: str, price: int) -> ToolResult:
    """Book a night."""
    return ToolResult({"booked": city}, [Spend(amount=price), Append("/cities", city), Set("/last", city)])


@tool
def forget() -> ToolResult:
    """Forget the last city."""
    return ToolResult("forgotten", [Delete("/last")])


SCRIPT = (
    ToolCall("book", {"city": "Kyoto", "price": 120}),
    [ToolCall("book", {"city": "Nara", "price": 80}), ToolCall("forget", {})],
    Turn(text="Two nights are booked.", usage=Usage(input_tokens=30, output_tokens=4)),
)
PLANNER = Agent(
    "planner",
    ScriptedModel(*SCRIPT),
    tools=[book, forget],
    reducers=[budget],
    tool_execution="sequential",
)
TALKER = Agent("talker", ScriptedModel())


def make_log(path: Path) -> None:
    """Two threads: `trip` with a run of eight versions, and `talk` with one that failed."""

    async def both() -> None:
        planner = replace(PLANNER, model=ScriptedModel(*SCRIPT))
        talker = replace(TALKER, model=ScriptedModel(RuntimeError("no luck")))
        async with Runtime.open(path, agents=[planner, talker]) as runtime:
            await (await runtime.start("planner", "Two nights, please.", thread="trip")).result()
            facts = ThreadMetadata(parent="trip", owner="ann", labels={"mood": "good"})
            await (await runtime.start("talker", "Hello?", thread="talk", metadata=facts)).result()

    anyio.run(both)
