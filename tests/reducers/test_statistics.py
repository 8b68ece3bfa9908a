from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.effects import CountingEffects
from support.log_reads import read_history
from support.retries import model_error
from support.runtimes import open_runtime, run_agent
from support.tools import erase, fail
from threadlog.engine import Decision, ToolCall
from threadlog.reducers import Statistics, statistics

ADD = ToolCall("add", {"a": 1, "b": 2})
FAIL = ToolCall("fail")
FIGURES: list[tuple[list[Any], dict[str, Any], Statistics]] = [
    (["hello"], {}, Statistics(steps=1, inferences=1)),
    ([[ADD, FAIL], "hello"], {}, Statistics(steps=2, inferences=2, tool_calls=2, tool_errors=1)),
    ([model_error("server"), "hello"], {}, Statistics(steps=1, inferences=2, retries=1)),
    ([model_error("server"), model_error("server")], {}, Statistics(steps=0, inferences=2, retries=1)),
    ([ADD], {"max_rounds": 1}, Statistics(steps=1, inferences=1, tool_calls=1)),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("turns", "fields", "figures"), FIGURES)
async def test_what_a_run_did_is_counted_from_the_log(
    path: Path, turns: list[Any], fields: dict[str, Any], figures: Statistics
) -> None:
    """Also the calls of a round in which the run was stopped: they were made."""
    async with open_runtime(path, scripted_agent(*turns, **fields), effects=CountingEffects()) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()

    assert statistics(read_history(path)) == figures._replace(duration=len(read_history(path)) - 1)


@pytest.mark.anyio
async def test_a_call_is_counted_when_it_has_ended_and_waiting_takes_no_time(path: Path) -> None:
    planner = scripted_agent([ToolCall("erase", id="c1"), FAIL], "waiting", "gone", tools=[erase, fail])
    first = await run_agent(path, planner)
    assert statistics(read_history(path))[1:] == (2, 2, 0, 1, 1)

    async with open_runtime(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c1")])
        assert resumed
        await resumed.result()

    done = statistics(read_history(path))
    assert done[1:] == (3, 3, 0, 2, 1)
    at = {one.reason: one.at for one in read_history(path)}
    waited = at["run_resumed"] - at["run_suspended"]
    assert done.duration == at["run_finished"] - read_history(path)[0].at - waited


def test_nothing_is_counted_of_nothing() -> None:
    assert statistics(()) == Statistics()
