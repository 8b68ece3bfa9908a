"""Runs whose process was killed: each is closed once, with evidence, and nothing is lost or done twice."""

import os
import signal
from functools import partial
from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.checks import assert_replays
from support.command import call
from support.killed_runs import assert_sound, at_work, crashed
from support.log_reads import read_recoveries, read_runs
from support.models import GatedModel, recording_model
from support.processes.killed_run import SPENT, mortal
from support.programs import together
from support.runtimes import open_runtimes
from support.waiting import wait_until
from threadlog.engine import Decision, Runtime
from threadlog.engine.runs.placement import IfActive
from threadlog.reducers.open_calls import RESULT_TEXTS
from threadlog.reducers.run import CANCELLED, ENDS
from threadlog.reducers.tool_call import calls
from threadlog.store import Log
from threadlog.store.errors import RunError, ThreadAlreadyRunning

pytestmark = pytest.mark.anyio


def answers(runtime: Runtime) -> dict[str | None, str]:
    """The results that the model reads."""
    return {m.tool_call_id: m.content for m in runtime.messages("t1") if m.role == "tool"}


async def test_a_run_killed_in_a_tool_is_stopped_when_the_log_is_opened(path: Path) -> None:
    crashed(path, "parallel", "add", "pay", "pay")
    async with Runtime.open(path, agents=[]) as runtime:
        result = await runtime.get_run("r1").result()
        told = answers(runtime)
        statuses = [each.status for each in calls(runtime.log.state("t1"))]

    assert statuses == ["succeeded", "cancelled", "cancelled"]
    assert (result.status, result.termination, result.usage) == ("done", ENDS["stop"], SPENT)
    assert told == {"c1": "3", "c2": RESULT_TEXTS["unknown"], "c3": RESULT_TEXTS["unknown"]}
    await assert_sound(path, "parallel", "add", "pay", "pay")


async def test_of_calls_made_one_by_one_only_the_first_open_one_was_started(path: Path) -> None:
    crashed(path, "sequential", "add", "pay", "add")
    async with Runtime.open(path, agents=[]) as runtime:
        assert answers(runtime) == {
            "c1": "3",
            "c2": RESULT_TEXTS["unknown"],
            "c3": RESULT_TEXTS["not_started"],
        }

    await assert_sound(path, "sequential", "add", "pay", "add")


async def test_the_end_of_a_recovered_run_has_the_evidence(path: Path) -> None:
    crashed(path, "sequential", "add", "pay", "add")
    executor = read_runs(path)[0].executor
    with Log.open(path, readonly=True) as log:
        last = list(log.read("t1"))[-1]
    async with Runtime.open(path, agents=[]):
        pass

    (end,) = read_recoveries(path)
    assert end.orphan
    assert (end.orphan.executor, end.orphan.version, end.orphan.at) == (executor, last.version, last.at)
    assert [(each.call_id, each.fate) for each in end.orphan.calls] == [
        ("c2", "unknown"),
        ("c3", "not_started"),
    ]


async def test_a_run_killed_in_an_inference_has_no_open_calls(path: Path) -> None:
    crashed(path, "parallel")
    async with Runtime.open(path, agents=[]) as runtime:
        assert runtime.log.open_runs() == []

    (end,) = read_recoveries(path)
    assert end.orphan
    assert end.orphan.calls == ()
    await assert_sound(path, "parallel")


async def test_to_recover_twice_is_to_recover_once(path: Path) -> None:
    crashed(path, "parallel", "pay")
    async with Runtime.open(path, agents=[], orphans="leave") as runtime:
        assert [each.run_id for each in await runtime.recover()] == ["r1"]
        position = runtime.log.position()
        assert await runtime.recover() == await runtime.recover("r1") == []
        assert await runtime.recover("r1", force=True) == []
        assert runtime.log.position() == position


@pytest.mark.long
def test_of_many_processes_that_recover_at_once_one_closes_each_orphan(path: Path) -> None:
    crashed(path, "parallel", "pay")

    together(*[(path,)] * 4, script="recoverer.py")

    assert len(read_recoveries(path)) == 1
    with Log.open(path, readonly=True) as log:
        assert log.verify() == []


async def test_a_process_that_is_stopped_keeps_its_runs_until_force_takes_one(path: Path) -> None:
    with at_work(path, "parallel", "pay") as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        async with Runtime.open(path, agents=[]) as runtime:
            assert await runtime.recover() == []
            with pytest.raises(RunError, match=f"process {process.pid} .* is alive"):
                await runtime.recover("r1")
            assert len(await runtime.recover("r1", force=True)) == 1
            assert runtime.log.open_runs() == []


@pytest.mark.parametrize("way", ["supersede", "force"])
@pytest.mark.parametrize("names", [("doze", "mark", "pay"), ("guarded",)], ids=["in a tool", "at its gate"])
async def test_a_process_that_wakes_does_nothing_more_for_a_run_that_was_taken(
    path: Path, names: tuple[str, ...], way: str
) -> None:
    """It is stopped before a tool: that is not started, and nothing is written or told."""
    with at_work(path, "sequential", *names) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        async with Runtime.open(path, agents=[gated_agent(recording_model("done")[0])]) as runtime:
            if way == "force":
                await runtime.recover("r1", force=True)
            else:
                await (await runtime.start("planner", "stop", thread="t1", if_active="supersede")).result()
            position = runtime.log.position()
            path.with_name("awake").touch()
            process.send_signal(signal.SIGCONT)
            output, errors = await anyio.to_thread.run_sync(process.communicate)
            assert runtime.log.position() == position

    assert (process.returncode, errors) == (0, "")
    said = output.splitlines()
    assert said[-2:] == ["told RunFinished", "over"]
    assert not {"marked", "told ToolCallFinished"} & set(said)


async def test_to_cancel_a_run_whose_process_is_dead_ends_it(path: Path) -> None:
    crashed(path, "parallel", "pay")
    async with Runtime.open(path, agents=[], orphans="leave") as runtime:
        with anyio.fail_after(10):
            assert await runtime.cancel("r1", by="ann", wait=True)
        (row,) = runtime.log.runs()

    assert (row.status, row.termination, row.control) == ("done", CANCELLED, 1)


async def test_to_wait_for_the_end_of_a_run_whose_process_dies_then_comes_to_an_end(path: Path) -> None:
    with at_work(path, "parallel", "shielded") as process:
        async with Runtime.open(path, agents=[]) as runtime, anyio.create_task_group() as tasks:
            tasks.start_soon(partial(runtime.cancel, wait=True), "r1")
            await wait_until(runtime.log, lambda: runtime.log.head("control/r1") == 1)
            process.kill()
            await anyio.to_thread.run_sync(process.wait)

    assert [row.termination for row in read_runs(path)] == [CANCELLED]


@pytest.mark.does_not_replay("its second epoch has another agent")
async def test_a_run_that_was_stopped_by_recovery_may_be_resumed(path: Path) -> None:
    crashed(path, "parallel", "pay")
    model, requests = recording_model("done")
    async with Runtime.open(path, agents=[gated_agent(model)]) as runtime:
        run = await runtime.resume("r1", prompt="go on")
        assert (await run.result()).output == "done"

    assert [m.content for m in requests[0].messages if m.role == "tool"] == [RESULT_TEXTS["unknown"]]


async def test_a_run_on_a_thread_that_was_an_orphans_gets_its_turn(path: Path) -> None:
    crashed(path, "parallel", "pay")
    model = GatedModel()
    async with Runtime.open(path, agents=[], orphans="leave") as runtime:
        await runtime.replace([gated_agent(model)])
        run = await runtime.start("planner", "go", thread="t1", if_active="queue")
    async with open_runtimes(path, [gated_agent(model)], later=[mortal("parallel", "pay")]) as (runtime,):
        (await model.next_request()).answer("done")
        assert (await runtime.get_run(run.run_id).result()).output == "done"


@pytest.mark.parametrize("if_active", ["reject", "queue"])
async def test_a_run_whose_process_dies_is_in_nobodys_way(path: Path, if_active: IfActive) -> None:
    """The orphan is found when a run starts on its thread, also by a runtime opened before it died."""
    other = gated_agent(model := GatedModel(), name="other")
    async with Runtime.open(path, agents=[other]) as runtime:
        with at_work(path, "parallel", "pay") as process:
            process.kill()
            process.wait()
        run = await runtime.start("other", "go", thread="t1", if_active=if_active)
        (await model.next_request()).answer("done")
        assert (await run.result()).output == "done"

    assert [(row.termination and row.termination.code) for row in read_runs(path)] == ["orphaned", None]
    await assert_replays(path, mortal("parallel", "pay"), other)


async def test_where_orphans_are_left_alone_they_keep_their_threads(path: Path) -> None:
    crashed(path, "parallel", "pay")
    async with Runtime.open(path, agents=[mortal("parallel")], orphans="leave") as runtime:
        with pytest.raises(ThreadAlreadyRunning):
            await runtime.start("planner", "go", thread="t1")


async def test_a_decision_given_before_the_crash_is_in_the_end(path: Path) -> None:
    crashed(path, "parallel", "pay")
    async with Runtime.open(path, agents=[], orphans="leave") as runtime:
        await runtime.decide("r1", [Decision.approve("c9", by="ann")])
        await runtime.steer("r1", "Be brief", by="bob")
        await runtime.recover()
        (row,) = runtime.log.runs()
        assert (row.status, row.control) == ("done", 2)
        assert runtime.messages("t1")[-1].content == "Be brief"

    await assert_sound(path, "parallel", "pay")


# At the terminal


def test_the_command_says_what_it_would_recover_and_does_it_once(path: Path) -> None:
    crashed(path, "sequential", "add", "pay", "add")
    dry = call(f"recover --dry-run --json --db {path}").json()
    assert [row.status for row in read_runs(path)] == ["running"]
    done = call(f"recover r1 --json --db {path}").json()

    assert dry == done
    assert [(each["name"], each["fate"]) for each in done[0]["calls"]] == [
        ("pay", "unknown"),
        ("add", "not_started"),
    ]
    assert "0 runs recovered" in call(f"recover --db {path}").out


def test_the_command_leaves_a_run_to_its_process(path: Path) -> None:
    with at_work(path, "parallel", "pay"):
        assert call(f"recover --json --db {path}").json() == []
        refused = call(f"recover r1 --db {path}")
        assert (refused.code, "is alive" in refused.err) == (5, True)
        assert len(call(f"recover r1 --force --json --db {path}").json()) == 1

    assert [row.termination for row in read_runs(path)] == [ENDS["stop"]]


def test_force_is_for_one_run(path: Path) -> None:
    assert call(f"recover --force --db {path}").code == 2
    assert call(f"recover r9 --db {path}").code == 3
