"""A planner, and the three agents that it delegates to. Their models are scripted; their files are real."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from pydantic import JsonValue

from ...engine import Agent, ModelRequest, ScriptedModel, ToolCall, Turn, tool
from ...engine.models import Answer
from ...store.document import loads
from .expenses import money, read_csv

RESEARCHER, WATCHER, ARCHIVIST = "researcher", "watcher", "archivist"
MAX_ROUNDS = 300
"""The planner polls the other agents while they run."""


@tool
def find_repeated(path: str) -> list[dict[str, str | int]]:
    """Find expenses that a CSV lists more than once: the same merchant and amount.

    Args:
        path: the CSV file.
    """
    counted = Counter((row["merchant"], row["cents"]) for row in read_csv(Path(path)))
    return [
        {"merchant": merchant, "cents": cents, "times": times}
        for (merchant, cents), times in counted.items()
        if times > 1
    ]


@tool
async def wait_for_file(path: str) -> str:
    """Wait until a file exists.

    Args:
        path: the file to wait for.
    """
    while not Path(path).exists():
        await anyio.sleep(0.05)
    return "the file exists"


@tool
def sum_up(path: str) -> dict[str, int]:
    """Add up a CSV of expenses.

    Args:
        path: the CSV file.
    """
    rows = list(read_csv(Path(path)))
    return {"lines": len(rows), "cents": sum(row["cents"] for row in rows)}


def team(source: Path) -> list[Agent]:
    """Return the agents of this process: the planner, then two that it delegates to."""
    receipts = str(source.with_name("receipts-of-the-trip.csv"))
    return [
        Agent(
            "planner",
            ScriptedModel(*[_plan] * MAX_ROUNDS, name="scripted-planner"),
            instructions="Check the expenses. Delegate the work.",
            agents=[RESEARCHER, WATCHER, ARCHIVIST],
            max_rounds=MAX_ROUNDS,
        ),
        Agent(
            RESEARCHER,
            ScriptedModel(ToolCall("find_repeated", {"path": str(source)}), _repeated),
            description="Finds expenses that were filed twice.",
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
    """Return the agent of the second process, which adds up the cost of a trip."""
    return Agent(
        ARCHIVIST,
        ScriptedModel(ToolCall("sum_up", {"path": str(trip)}), _summed),
        description="Knows the cost of the last trip.",
        tools=[sum_up],
    )


def _repeated(request: ModelRequest) -> Answer:
    ((_, found),) = _results(request)
    named = [f"{each['merchant']} ({each['times']} times {money(each['cents'])})" for each in found]
    return f"Filed more than once: {', '.join(named) or 'nothing'}."


def _summed(request: ModelRequest) -> Answer:
    ((_, found),) = _results(request)
    return f"The last trip cost {money(found['cents'])}, in {found['lines']} expenses."


class _Delegate(NamedTuple):
    """What the planner knows about a sub-agent."""

    run_id: str
    status: str
    output: JsonValue
    is_read: bool
    """Whether the planner has read its output."""


def _plan(request: ModelRequest) -> Turn:
    known = dict(_delegates(request))
    if not known:
        calls = [
            _run(RESEARCHER, "What was filed twice?", background=True),
            _run(WATCHER, "Report when the receipts are here.", background=True),
        ]
        return Turn(text="I start two agents in the background.", tool_calls=calls)
    if ARCHIVIST in _catalogue(request) and ARCHIVIST not in known:
        return Turn(tool_calls=[_run(ARCHIVIST, "What did the last trip cost?")])
    for name, each in known.items():
        if name != WATCHER and (each.status == "running" or not each.is_read):
            return Turn(tool_calls=[ToolCall("agent_output", {"run_id": each.run_id})])
    if known[WATCHER].status == "running":
        stop = ToolCall("agent_stop", {"run_id": known[WATCHER].run_id})
        return Turn(text="I no longer need the receipts.", tool_calls=[stop])
    return Turn(text=_summary(known))


def _summary(known: dict[str, _Delegate]) -> str:
    outputs = [str(each.output) for name, each in known.items() if name != WATCHER]
    unknown = [] if ARCHIVIST in known else ["The cost of the last trip is unknown."]
    return " ".join([*outputs, *unknown])


def _run(agent: str, prompt: str, *, background: bool = False) -> ToolCall:
    return ToolCall("agent_run", {"agent_id": agent, "prompt": prompt, "background": background})


def _delegates(request: ModelRequest) -> Iterator[tuple[str, _Delegate]]:
    """Yield each agent with its status, oldest first: the last status is the current one."""
    for call, result in _results(request):
        if "error" in result and "status" not in result:
            raise RuntimeError(f"the planner cannot continue: {result['error']}")
        is_read = call.name == "agent_output"
        yield result["agent_id"], _Delegate(result["run_id"], result["status"], result.get("output"), is_read)


def _results(request: ModelRequest) -> Iterator[tuple[ToolCall, Any]]:
    """Yield the tool calls with their results."""
    calls = {call.id: call for message in request.messages for call in message.tool_calls}
    for message in request.messages:
        if message.role == "tool" and message.tool_call_id:
            yield calls[message.tool_call_id], loads(message.content.encode())


def _catalogue(request: ModelRequest) -> str:
    """Return the system messages of the request, which list the agents to delegate to."""
    return " ".join(message.content for message in request.messages if message.role == "system")
