"""A stopped or cancelled run resumes in its next epoch; a run that finished by itself does not."""

from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.log_reads import read_run
from support.models import GatedModel, recording_model, request_messages
from support.runtimes import open_runtime, open_runtimes
from support.tools import ERASE
from threadlog.engine import Decision, Runtime, ToolCall
from threadlog.store.errors import RunError, RunOver

pytestmark = pytest.mark.anyio

ADD = ToolCall("add", {"a": 1, "b": 1})


async def test_a_cancelled_run_goes_on_with_what_it_is_told_now(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        await model.next_request()
        assert await other.cancel(run.run_id, by="ann", wait=True)
        again = await other.resume(run.run_id, prompt="go on")
        asked = await model.next_request()
        asked.answer("gone on")
        result = await again.result()

    assert (result.status, result.output) == ("done", "gone on")
    assert request_messages(asked.request)[-1] == ("user", "go on")
    assert {each.epoch for each in read_run(path, run.run_id)} == {1, 2}


async def test_a_run_cancelled_again_in_its_next_epoch_ends_again(path: Path) -> None:
    """what cancelled the first epoch has had its effect, and no other"""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        for epoch in (1, 2, 3):
            await model.next_request()
            assert await runtime.cancel(run.run_id, wait=True)
            assert runtime.log.open_runs() == []
            if epoch < 3:
                await runtime.resume(run.run_id)

    assert [each.epoch for each in read_run(path, run.run_id) if each.reason == "run_finished"] == [1, 2, 3]


async def test_a_run_that_a_policy_stopped_goes_on(path: Path) -> None:
    model, requests = recording_model(ADD, ADD, "done")
    async with open_runtime(path, gated_agent(model, max_rounds=1)) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        assert (await run.result()).termination.code == "max_rounds_reached"
        await runtime.resume(run.run_id, prompt="one more")
        assert (await run.result()).termination.code == "max_rounds_reached"
        await runtime.resume(run.run_id)
        assert (await run.result()).output == "done"

    assert len(requests) == 3


async def test_what_does_not_wait_and_was_not_stopped_does_not_go_on(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        ended = await runtime.start("planner", "go", thread="ended")
        active = await runtime.start("planner", "go", thread="active")
        waits = await runtime.start("planner", "go", thread="waits")
        for said in ("done", None, ERASE):
            asked = await model.next_request()
            if said:
                asked.answer(said)
        await ended.result()
        await waits.result()
        before = runtime.log.position()
        for run, prompt in ((ended, ""), (active, "go on"), (waits, "go on")):
            with pytest.raises(RunError):
                await runtime.resume(run.run_id, prompt=prompt)
        assert runtime.log.position() == before


async def test_a_stopped_run_behind_which_another_came_does_not_go_on(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        first = await runtime.start("planner", "go", thread="t1")
        second = await runtime.start("planner", "go", thread="t1", if_active="supersede")
        for _ in range(2):
            with pytest.raises(RunError, match="has a later run"):
                await runtime.resume(first.run_id)
            await runtime.cancel(second.run_id, wait=True)


async def test_a_run_goes_on_under_the_run_that_wants_it_now(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        parents = [await runtime.start("planner", "go", thread=f"parent {n}") for n in range(2)]
        child = await runtime.start("planner", "go", thread="child", parent=parents[0].run_id)
        await runtime.cancel(parents[0].run_id, wait=True)
        await child.result()
        with pytest.raises(RunOver):
            await runtime.resume(child.run_id, parent=parents[0].run_id)
        await runtime.resume(child.run_id, parent=parents[1].run_id)
        assert [row.run_id for row in runtime.log.children(parents[1].run_id)] == [child.run_id]
        await runtime.cancel(parents[1].run_id, wait=True)
        assert (await child.result()).termination.type == "cancelled"


async def test_a_question_that_was_cancelled_is_not_asked_any_more(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        (await model.next_request()).answer(ERASE)
        await run.result()
        (call,) = runtime.pending(run.run_id)
        await runtime.cancel(run.run_id, wait=True)
        with pytest.raises(RunError):
            await runtime.resume(run.run_id, [Decision.approve(call.call_id)])
        await runtime.resume(run.run_id)
        (await model.next_request()).answer("done")
        assert (await run.result()).output == "done"


async def test_a_run_of_an_id_is_started_once_whoever_starts_it(path: Path) -> None:
    async def start(runtime: Runtime) -> None:
        run = await runtime.start("planner", "go", thread="t1", id="r1", if_active="queue")
        begun.append(run.run_id)

    begun = list[str]()
    async with open_runtimes(path, [gated_agent()], [gated_agent()]) as (runtime, other):
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for each in (runtime, other, runtime, other):
                    tasks.start_soon(start, each)
            for thread, agent in (("t2", "planner"), ("t1", "missing")):
                with pytest.raises(RunError):
                    await runtime.start(agent, "go", thread=thread, id="r1")
            assert [row.run_id for row in runtime.active_runs()] == ["r1"]
            await runtime.cancel("r1", wait=True)
            assert (await other.start("planner", "go", thread="t1", id="r1")).run_id == "r1"

    assert begun == ["r1"] * 4
    assert [each.reason for each in read_run(path, "r1")] == ["run_started", "run_finished"]


async def test_of_two_that_let_a_run_go_on_at_the_same_moment_one_does(path: Path) -> None:
    refused = list[RunError]()

    async def resume() -> None:
        try:
            await runtime.resume(run.run_id)
        except RunError as err:
            refused.append(err)

    async with open_runtimes(path, [gated_agent()]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        await runtime.cancel(run.run_id, wait=True)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(resume)

    assert len(refused) == 2
