"""A further scene: an agent files expenses, a person denies its report, then approves a corrected one."""

from functools import partial
from pathlib import Path

import anyio

from ...engine import Decision, RunResult, Runtime
from ...reducers.tool_call import ToolCallState
from ...store.log import Log
from ..look import print_diff, print_history, readable_diff
from .bookkeeper import NEEDS_DAYS, bookkeeper
from .narration import follow, heading, say

THREAD = "expenses"
PERSON = "ann"


def file_expenses(path: Path, source: Path, report: Path) -> RunResult:
    """Run the bookkeeper, then print what its log has recorded."""
    heading("More: an agent files expenses")
    result = anyio.run(_run, path, source, report)
    with Log.open(path, readonly=True) as log:
        _print_log(log)
    return result


async def _run(path: Path, source: Path, report: Path) -> RunResult:
    async with Runtime.open(path, agents=[bookkeeper(source, report)]) as runtime:
        run = await runtime.start("bookkeeper", f"Please file the expenses in {source.name}.", thread=THREAD)
        result = await follow(run)
        for answer in (partial(Decision.deny, reason=NEEDS_DAYS), Decision.approve):
            for call in runtime.pending(result.run_id):
                decision = answer(call.call_id, by=PERSON)
                _print_decision(call, decision)
                run = await runtime.decide(result.run_id, [decision])
                result = await follow(run)
        return result


def _print_decision(call: ToolCallState, decision: Decision) -> None:
    answer = "Yes." if decision.approved else f"No. {decision.reason}"
    say(f"? May {call.name} run?  Ann: {answer}", "bold cyan")


def _print_log(log: Log) -> None:
    head = log.head(THREAD)
    middle = head // 2
    heading("More: the log of that run")
    print_history(list(log.read(THREAD)))
    heading(f"More: what changed in its state from version {middle} to {head}")
    old, new = (_public(log.state(THREAD, version)) for version in (middle, head))
    print_diff(old, readable_diff(old, new))


def _public(state: dict[str, object]) -> dict[str, object]:
    """Return the state without threadlog's own part."""
    return {key: value for key, value in state.items() if not key.startswith("__")}
