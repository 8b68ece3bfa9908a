"""The second act's agents: a planner, and three who work for it. Scripted models, real files."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from pydantic import JsonValue

from ...engine import Agent, ModelRequest, ScriptedModel, ToolCall, Turn, tool
from ...engine.models import Answer
from ...store.document import loads
from .expenses import expenses, money

RESEARCHER, WATCHER, ARCHIVIST = "researcher", "watcher", "archivist"
MAX_ROUNDS = 300
"""Of the planner: it looks how the others are as long as they go on."""


@tool
def find_repeated(path: str) -> list[dict[str, Any]]:
    """Find what stands in a CSV of expenses more than once: the same merchant and amount.

    Args:
        path: the CSV file.
    """
    counted = Counter((row["merchant"], row["cents"]) for row in expenses(Path(path)))
    return [
        {"merchant": merchant, "cents": cents, "times": times}
        for (merchant, cents), times in counted.items()
        if times > 1
    ]


@tool
async def wait_for_file(path: str) -> str:
    """Wait until there is a file.

    Args:
        path: where it will be.
    """
    while not Path(path).exists():
        await anyio.sleep(0.05)
    return "it is there"


@tool
def sum_up(path: str) -> dict[str, int]:
    """Sum up a CSV of expenses.

    Args:
        path: the CSV file.
    """
    rows = list(expenses(Path(path)))
    return {"lines": len(rows), "cents": sum(row["cents"] for row in rows)}


def team(source: Path) -> list[Agent]:
    """The agents of this process: the planner first."""
    receipts = str(source.with_name("receipts-of-the-trip.csv"))
    return [
        Agent(
            "planner",
            ScriptedModel(*[_plan] * MAX_ROUNDS, name="scripted-planner"),
            instructions="Check the expenses. Have others work for you.",
            agents=[RESEARCHER, WATCHER, ARCHIVIST],
            max_rounds=MAX_ROUNDS,
        ),
        Agent(
            RESEARCHER,
            ScriptedModel(ToolCall("find_repeated", {"path": str(source)}), _repeated),
            description="Finds what was filed twice.",
            tools=[find_repeated],
        ),
        Agent(
            WATCHER,
            ScriptedModel(ToolCall("wait_for_file", {"path": receipts}), "The receipts are here."),
            description="Waits for the receipts.",
            tools=[wait_for_file],
        ),
    ]


def archivist(trip: Path) -> Agent:
    """The agent of the second process, which knows what a trip has cost."""
    return Agent(
        ARCHIVIST,
        ScriptedModel(ToolCall("sum_up", {"path": str(trip)}), _summed),
        description="Knows what the last trip has cost.",
        tools=[sum_up],
    )


def _repeated(request: ModelRequest) -> Answer:
    ((_, found),) = _told(request)
    named = [f"{each['merchant']} ({each['times']} times {money(each['cents'])})" for each in found]
    return f"More than once: {', '.join(named) or 'nothing'}."


def _summed(request: ModelRequest) -> Answer:
    ((_, found),) = _told(request)
    return f"The last trip has cost {money(found['cents'])}, in {found['lines']} expenses."


class _Known(NamedTuple):
    """What the planner knows of one who works for it."""

    run_id: str
    status: str
    output: JsonValue
    is_read: bool


def _plan(request: ModelRequest) -> Turn:
    known = dict(_known(request))
    if not known:
        calls = [
            _delegated(RESEARCHER, "What was filed twice?", background=True),
            _delegated(WATCHER, "Tell me when the receipts are here.", background=True),
        ]
        return Turn(text="I have two work in the background.", tool_calls=calls)
    if ARCHIVIST in _offered(request) and ARCHIVIST not in known:
        return Turn(tool_calls=[_delegated(ARCHIVIST, "What has the last trip cost?")])
    for name, one in known.items():
        if name != WATCHER and (one.status == "running" or not one.is_read):
            return Turn(tool_calls=[ToolCall("agent_output", {"run_id": one.run_id})])
    if known[WATCHER].status == "running":
        stop = ToolCall("agent_stop", {"run_id": known[WATCHER].run_id})
        return Turn(text="Nobody needs the receipts any more.", tool_calls=[stop])
    said = [str(one.output) for name, one in known.items() if name != WATCHER]
    unknown = [] if ARCHIVIST in known else ["Of the last trip nobody knows."]
    return Turn(text=" ".join([*said, *unknown]))


def _delegated(agent: str, prompt: str, *, background: bool = False) -> ToolCall:
    return ToolCall("agent_run", {"agent_id": agent, "prompt": prompt, "background": background})


def _known(request: ModelRequest) -> Iterator[tuple[str, _Known]]:
    """The last that was told of each."""
    for call, told in _told(request):
        if "error" in told and "status" not in told:
            raise RuntimeError(f"the planner cannot go on: {told['error']}")
        is_read = call.name == "agent_output"
        yield told["agent_id"], _Known(told["run_id"], told["status"], told.get("output"), is_read)


def _told(request: ModelRequest) -> Iterator[tuple[ToolCall, Any]]:
    """Each call of a tool, with its answer."""
    calls = {call.id: call for message in request.messages for call in message.tool_calls}
    for message in request.messages:
        if message.role == "tool" and message.tool_call_id:
            yield calls[message.tool_call_id], loads(message.content.encode())


def _offered(request: ModelRequest) -> str:
    """What the planner is shown of who may work for it."""
    return " ".join(message.content for message in request.messages if message.role == "system")
