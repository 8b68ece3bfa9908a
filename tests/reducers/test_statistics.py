from pathlib import Path
from typing import Any

import pytest

from support.failing_models import failing
from support.replay_checks import run
from support.runs import CountedEffects, agent, erase, fail, history, running
from threadlog.engine import Decision, ToolCall
from threadlog.reducers import Statistics, statistics

ADD = ToolCall("add", {"a": 1, "b": 2})
FAIL = ToolCall("fail")
FIGURES: list[tuple[list[Any], dict[str, Any], Statistics]] = [
    (["hello"], {}, Statistics(steps=1, inferences=1)),
    ([[ADD, FAIL], "hello"], {}, Statistics(steps=2, inferences=2, tool_calls=2, tool_errors=1)),
    ([failing("server"), "hello"], {}, Statistics(steps=1, inferences=2, retries=1)),
    ([failing("server"), failing("server")], {}, Statistics(steps=0, inferences=2, retries=1)),
    ([ADD], {"max_rounds": 1}, Statistics(steps=1, inferences=1, tool_calls=1)),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("turns", "fields", "figures"), FIGURES)
async def test_what_a_run_did_is_counted_from_the_log(
    path: Path, turns: list[Any], fields: dict[str, Any], figures: Statistics
) -> None:
    """Also the calls of a round in which the run was stopped: they were made."""
    async with running(path, agent(*turns, **fields), effects=CountedEffects()) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()

    assert statistics(history(path)) == figures._replace(duration=len(history(path)) - 1)


@pytest.mark.anyio
async def test_a_call_is_counted_when_it_has_ended_and_waiting_takes_no_time(path: Path) -> None:
    planner = agent([ToolCall("erase", id="c1"), FAIL], "waiting", "gone", tools=[erase, fail])
    first = await run(path, planner)
    assert statistics(history(path))[1:] == (2, 2, 0, 1, 1)

    async with running(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c1")])
        assert resumed
        await resumed.result()

    done = statistics(history(path))
    assert done[1:] == (3, 3, 0, 2, 1)
    at = {one.reason: one.at for one in history(path)}
    waited = at["run_resumed"] - at["run_suspended"]
    assert done.duration == at["run_finished"] - history(path)[0].at - waited


def test_nothing_is_counted_of_nothing() -> None:
    assert statistics(()) == Statistics()
