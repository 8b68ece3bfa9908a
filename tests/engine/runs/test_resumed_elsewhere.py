"""A waiting run is resumed by another runtime or process, by one of them only."""

import subprocess
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from support.agents import approval_agent
from support.approvals import APPROVE
from support.checks import assert_sound
from support.log_reads import read_history, read_reasons
from support.processes import resumer
from support.programs import command, environment
from support.runtimes import open_runtime, run_agent
from support.tools import ERASE
from threadlog.engine import Runtime, ScriptedModel, ToolCall
from threadlog.store import VersionConflict
from threadlog.store.errors import RunError

pytestmark = pytest.mark.anyio


async def test_a_run_may_be_resumed_by_another_runtime_on_the_same_file(path: Path) -> None:
    planner = approval_agent(ERASE, "gone")
    async with open_runtime(path, planner) as first, open_runtime(path, approval_agent("gone")) as second:
        started = await first.start("planner", "go", thread="t1")
        await started.result()
        resumed = await second.decide(started.run_id, [APPROVE])
        assert resumed
        result = await resumed.result()
        with pytest.raises(RunError, match="cannot be resumed: it is done"):
            await first.resume(started.run_id)

    executors = [changeset.executor.id for changeset in read_history(path) if changeset.executor]
    assert (result.output, result.run_id, len(set(executors))) == ("gone", started.run_id, 2)


async def test_of_two_that_resume_at_the_same_moment_one_is_refused(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE))
    outcomes: list[str] = []

    async def resume(runtime: Runtime) -> None:
        try:
            outcomes.append((await (await runtime.resume(first.run_id, [APPROVE])).result()).status)
        except (VersionConflict, RunError) as err:
            outcomes.append(type(err).__name__)

    async with (
        open_runtime(path, approval_agent("a")) as one,
        open_runtime(path, approval_agent("b")) as other,
        anyio.create_task_group() as tasks,
    ):
        for runtime in (one, other, one):
            tasks.start_soon(resume, runtime)

    assert set(outcomes) <= {"done", "RunError"}
    assert "done" in outcomes
    assert read_reasons(path).count("run_resumed") == 1


async def test_an_agent_that_is_not_here_cannot_go_on(path: Path) -> None:
    first = await run_agent(path, approval_agent(ERASE))

    async with open_runtime(path, approval_agent(name="writer")) as runtime:
        await runtime.decide(first.run_id, [APPROVE])
        with pytest.raises(RunError, match="there is no agent 'planner' here"):
            await runtime.resume(first.run_id)


def test_a_run_may_be_resumed_by_another_process(path: Path) -> None:
    """what one process has begun, another ends: the log is all that they share"""
    agents = [replace(resumer.planner(), model=ScriptedModel(ToolCall("erase", id="c1")))]
    with Runtime.open(path, agents=agents) as runtime:
        waiting = runtime.run_sync("planner", "go", thread="t1")
    begin = command("resumer.py", path, waiting.run_id, "c1")

    ended = subprocess.run(begin, capture_output=True, text=True, check=False, env=environment())

    assert (ended.stdout, ended.stderr) == ("done gone\n", "")
    assert_sound(path, [])
    assert read_reasons(path)[3:] == [
        "run_suspended",
        "run_resumed",
        "tool_results",
        "assistant_turn",
        "run_finished",
    ]
    pids = [changeset.executor.pid for changeset in read_history(path) if changeset.executor]
    assert [changeset.epoch for changeset in read_history(path)] == [1] * 4 + [2] * 4
    assert len(set(pids)) == 2
