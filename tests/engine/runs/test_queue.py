"""Starting on a thread that has a run: rejected, or queued in the log until its turn comes."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.behaviors import PhaseBehavior
from support.log_reads import read_commands, read_run
from support.logs import changeset
from support.models import GatedModel, recording_model, request_messages
from support.runtimes import open_runtimes, start_waiting_run
from support.tools import ERASE
from support.waiting import wait_until
from threadlog.engine import Context, Decision, Runtime, SystemEffects
from threadlog.store import ANY, Log
from threadlog.store.appender import changes
from threadlog.store.changeset import control_stream
from threadlog.store.errors import NotFound, RunError, ThreadAlreadyRunning

pytestmark = pytest.mark.anyio


def ends(path: Path) -> list[str]:
    """The runs, in the order in which they began."""
    with Log.open(path, readonly=True) as log:
        return [
            entry.changeset.run_id or "" for entry in log.entries() if entry.changeset.reason == "run_started"
        ]


async def test_a_second_run_is_rejected_and_told_what_the_first_waits_for(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        for each in (runtime, other):
            with pytest.raises(ThreadAlreadyRunning, match="is running") as refused:
                await each.start("planner", "go on", thread="t1")
            assert (refused.value.run_id, refused.value.tickets) == (run.run_id, ())
        assert await runtime.cancel(run.run_id, wait=True)
        run_id = await start_waiting_run(other, model)
        (call,) = runtime.pending(run_id)
        assert call.suspension
        for each in (runtime, other):
            with pytest.raises(ThreadAlreadyRunning, match="waits for") as refused:
                await each.start("planner", "go on", thread="t1")
            assert refused.value.tickets == (call.suspension.ticket,)

    assert len(ends(path)) == 2


async def test_of_many_that_start_at_the_same_moment_one_does(path: Path) -> None:
    model, refused = GatedModel(), 0

    async def start(runtime: Runtime) -> None:
        nonlocal refused
        try:
            await runtime.start("planner", "go", thread="t1")
        except ThreadAlreadyRunning:
            refused += 1

    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        async with anyio.create_task_group() as tasks:
            for each in (runtime, other, runtime, other):
                tasks.start_soon(start, each)
        assert (len(runtime.active_runs()), refused) == (1, 3)


async def test_queued_runs_start_one_after_the_other_in_their_order(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], [gated_agent(model)]) as (runtime, other):
        runs = [await runtime.start("planner", "go", thread="t1")]
        for each in (runtime, other, runtime):
            runs.append(await each.start("planner", "go on", thread="t1", if_active="queue"))
        listed = [(row.run_id, row.status) for row in other.active_runs()]
        with pytest.raises(ThreadAlreadyRunning):
            await runtime.start("planner", "no", thread="t1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.answer_all, "gone")
            assert [(await run.result()).output for run in runs] == ["gone"] * 4
            tasks.cancel_scope.cancel()

    assert listed == [(run.run_id, "queued" if n else "running") for n, run in enumerate(runs)]
    assert ends(path) == [run.run_id for run in runs]


async def test_a_queued_run_waits_for_the_end_of_one_that_waits(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        first = await start_waiting_run(runtime, model)
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        await runtime.decide(first, [Decision.approve("c1")])
        (await model.next_request()).answer("gone")
        (await model.next_request()).answer("gone on")
        assert (await queued.result()).output == "gone on"

    assert ends(path) == [first, queued.run_id]


async def test_queued_runs_outlive_the_runtime_and_are_started_by_the_next(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        first = await start_waiting_run(runtime, model)
        queued = [
            (await runtime.start("planner", prompt, thread="t1", if_active="queue")).run_id
            for prompt in ("second", "third")
        ]

    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        assert [row.run_id for row in runtime.active_runs()] == [first, *queued]
        assert await runtime.cancel(first)
        for run_id in queued:
            (await model.next_request()).answer(run_id)
            assert (await runtime.get_run(run_id).result()).output == run_id

    assert ends(path) == [first, *queued]


async def test_a_queued_run_is_started_wherever_its_agent_is(path: Path) -> None:
    """The runtime in which it was asked for is closed before its turn comes."""
    model, other_model = GatedModel(), GatedModel()
    mover = gated_agent(other_model, name="mover")
    async with open_runtimes(path, [gated_agent(model)], [mover]) as (runtime, _):
        run_id = await start_waiting_run(runtime, model)
        async with Runtime.open(path, agents=[gated_agent(), mover], durability="normal") as third:
            queued = (await third.start("mover", "move", thread="t1", if_active="queue")).run_id
        await runtime.decide(run_id, [Decision.deny("c1")])
        (await model.next_request()).answer("not gone")
        (await other_model.next_request()).answer("moved")
        assert (await runtime.get_run(queued).result()).output == "moved"

    assert ends(path) == [run_id, queued]


async def test_no_queued_run_is_overtaken_though_its_agent_is_not_here(path: Path) -> None:
    model = GatedModel()
    mover = gated_agent(recording_model("moved")[0], name="mover")
    async with Runtime.open(path, agents=[gated_agent(model), mover], durability="normal") as runtime:
        first = await start_waiting_run(runtime, model)
        queued = [
            (await runtime.start(name, "go", thread="t1", if_active="queue")).run_id
            for name in ("mover", "planner")
        ]
    async with open_runtimes(path, [gated_agent(model)], later=[mover]) as (runtime,):
        await runtime.cancel(first, wait=True)
        # When a run has ended, the next one of every queue begins: here none can.
        for thread in ("t2", "t3"):
            run = await runtime.start("planner", "go", thread=thread)
            (await model.next_request()).answer("done")
            await run.result()
        async with Runtime.open(path, agents=[mover], durability="normal"):
            (await model.next_request()).answer("done")
            await runtime.get_run(queued[1]).result()

    assert ends(path)[3:] == queued


async def test_a_queued_run_that_is_cancelled_never_begins(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        first = await runtime.start("planner", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        third = await runtime.start("planner", "go further", thread="t1", if_active="queue")
        assert await other.cancel(queued.run_id, by="ann", reason="too late", wait=True)
        assert (await queued.result()).termination.type == "cancelled"
        assert [event async for event in queued] == []
        (await model.next_request()).answer("gone")
        (await model.next_request()).answer("gone further")
        assert (await third.result()).output == "gone further"

    assert ends(path) == [first.run_id, third.run_id]
    assert [(entry.by, entry.content) for entry in read_commands(path, queued.run_id)][1] == (
        "ann",
        "too late",
    )


async def test_a_queued_run_asks_nothing_and_may_be_decided_early(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        first = await runtime.start("planner", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        assert other.pending(queued.run_id) == []
        await other.decide(queued.run_id, [Decision.approve("c1", by="ann")])
        (await model.next_request()).answer("gone")
        (await model.next_request()).answer(ERASE)
        (await model.next_request()).answer("erased")
        assert (await queued.result()).output == "erased"
        await first.result()
        with pytest.raises(NotFound):
            other.pending("missing")

    assert "run_suspended" not in [changeset.reason for changeset in read_run(path, queued.run_id)]


async def test_a_run_that_is_over_asks_nothing(path: Path) -> None:
    """though another one waits on its thread"""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        first = await runtime.start("planner", "go", thread="t1")
        (await model.next_request()).answer("gone")
        await first.result()
        second = await start_waiting_run(runtime, model)
        assert len(runtime.pending(second)) == len(runtime.pending()) == 1
        assert runtime.pending(first.run_id) == []


async def test_a_queued_run_can_be_followed_before_it_begins(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        await runtime.start("planner", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        handle, told = other.get_run(queued.run_id), []

        async def follow() -> None:
            told.extend([type(event).__name__ async for event in handle])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            (await model.next_request()).answer("gone")
            (await model.next_request()).answer("gone on")

    assert told == ["RunStarted", "AssistantTurn", "StepFinished", "RunFinished"]


async def test_who_may_not_run_here_is_not_queued(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        await runtime.start("planner", "go", thread="t1")
        with pytest.raises(RunError, match="no agent"):
            await other.start("planner", "go on", thread="t1", if_active="queue")
        await wait_until(runtime.log, lambda: len(runtime.active_runs()) == 1)


async def test_a_queued_run_that_is_told_something_as_it_begins_begins_with_that(path: Path) -> None:
    """It begins behind what it has seen of its control stream: else it begins anew, here or elsewhere."""
    model, requests = recording_model(*["gone on"] * 9)

    class Telling(PhaseBehavior):
        async def run_start(self, context: Context) -> None:
            with Log.open(path, durability="normal") as log:
                if log.head(control_stream(context.run_id)) == 1:
                    await other.steer(context.run_id, "Be brief")

    agent = gated_agent(model, behaviors=[Telling(lambda context: None)])
    async with open_runtimes(path, [agent, gated_agent(name="first")], []) as (runtime, other):
        first = await runtime.start("first", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        assert await runtime.cancel(first.run_id)
        with anyio.fail_after(30):
            assert (await queued.result()).output == "gone on"

    assert request_messages(requests[-1])[-2:] == [("user", "go on"), ("user", "Be brief")]


async def test_a_queued_run_that_is_cancelled_as_it_begins_does_not_begin(path: Path) -> None:
    class Cancelling(PhaseBehavior):
        async def run_start(self, context: Context) -> None:
            await other.cancel(context.run_id)

    agent = gated_agent(behaviors=[Cancelling(lambda context: None)])
    async with open_runtimes(path, [agent, gated_agent(name="first")], []) as (runtime, other):
        first = await runtime.start("first", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        assert await runtime.cancel(first.run_id)
        with anyio.fail_after(30):
            assert (await queued.result()).termination.detail == "cancelled while it was queued"

    assert ends(path) == [first.run_id]


async def test_a_queued_run_that_is_slow_to_begin_holds_up_no_other(path: Path) -> None:
    """A behavior is slow; commands to its run and to others are applied meanwhile."""
    begun, model = anyio.Event(), GatedModel()

    class Slow(PhaseBehavior):
        async def run_start(self, context: Context) -> None:
            begun.set()
            await anyio.sleep_forever()

    slow = gated_agent(name="slow", behaviors=[Slow(lambda context: None)])
    async with open_runtimes(path, [gated_agent(model), slow], []) as (runtime, other):
        first = await runtime.start("planner", "go", thread="t1")
        beside = await runtime.start("planner", "go", thread="t2")
        queued = await runtime.start("slow", "go on", thread="t1", if_active="queue")
        assert await other.cancel(first.run_id)
        await begun.wait()
        with anyio.fail_after(3):
            await other.steer(queued.run_id, "Be brief")
            assert await other.cancel(beside.run_id, wait=True)
            assert await other.cancel(queued.run_id, wait=True)

    assert ends(path) == [first.run_id, beside.run_id]


async def test_a_queued_run_that_cannot_begin_is_not_tried_without_end(path: Path) -> None:
    """but once for a change that is seen, and once for a pause"""
    tried = 0

    class Failing(PhaseBehavior):
        def run_start(self, context: Context) -> None:
            nonlocal tried
            tried += 1
            with Log.open(path, durability="normal") as log:
                log.append(changeset(f"other{tried}", "t1"), ANY)

    class OneByOne(SystemEffects):
        """Of its pauses no two end between two looks at the log."""

        async def sleep(self, seconds: float) -> None:
            async with pausing:
                await super().sleep(seconds)

    failing, pausing = gated_agent(name="failing", behaviors=[Failing(lambda context: None)]), anyio.Lock()
    async with open_runtimes(path, [gated_agent(), failing], effects=OneByOne()) as (runtime,):
        first = await runtime.start("planner", "go", thread="t1")
        queued = await runtime.start("failing", "go on", thread="t1", if_active="queue")
        assert await runtime.cancel(first.run_id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(queued.result)
            await seen(runtime.log, 10)
            assert 1 <= tried <= 2 * 10 + 2
            assert await runtime.cancel(queued.run_id)


async def seen(log: Log, times: int) -> None:
    """Return when a follower of the log has seen so many changes."""
    with anyio.fail_after(30):
        async with aclosing(changes(log)) as following:
            for _ in range(times):
                await anext(following)
