"""Steering: messages to a run while it is active, waits, or is queued."""

from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.behaviors import PhaseBehavior
from support.log_reads import read_commands, read_run
from support.models import GatedModel, request_messages
from support.runtimes import open_runtimes, start_waiting_run
from support.tools import ADD
from threadlog.engine import Context, ModelRequest
from threadlog.engine.events.event import RunResumed, Steered
from threadlog.store.errors import NotFound, RunError, RunOver

pytestmark = pytest.mark.anyio

BRIEF = ("user", "Be brief")


def heard(request: ModelRequest) -> int:
    return request_messages(request).count(BRIEF)


async def test_a_message_to_an_active_run_is_seen_once_at_its_next_step(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        first = await model.next_request()
        await runtime.steer(run.run_id, "Be brief", by="ann")
        first.answer(ADD)
        second = await model.next_request()
        second.answer(ADD.model_copy(update={"id": "c2"}))
        third = await model.next_request()
        third.answer("three")
        result = await run.result()
        steered = [event async for event in run if isinstance(event, Steered)]

    assert [heard(asked.request) for asked in (first, second, third)] == [0, 1, 1]
    assert request_messages(second.request)[-2:] == [("tool", "3"), BRIEF]
    assert (result.output, len(steered), steered[0].message.content) == ("three", 1, "Be brief")
    assert [(entry.kind, entry.by) for entry in read_commands(path, run.run_id)] == [("steer", "ann")]


async def test_a_message_to_a_run_about_to_finish_gives_it_another_step(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        first = await model.next_request()
        await runtime.steer(run.run_id, "Be brief")
        first.answer("a long story")
        second = await model.next_request()
        second.answer("short")
        result = await run.result()

    assert request_messages(second.request)[-2:] == [("assistant", "a long story"), BRIEF]
    assert (result.output, len(read_run(path, run.run_id))) == ("short", 5)


async def test_no_run_finishes_over_an_unread_message(path: Path) -> None:
    """The end requires the head of the control stream. Behaviors also see ends that are withdrawn."""
    model, ends = GatedModel(), anyio.Event()

    class Speaking(PhaseBehavior):
        async def run_end(self, context: Context) -> None:
            if not ends.is_set():
                ends.set()
                await other.steer(context.run_id, "Be brief")

    agent = gated_agent(model, behaviors=[Speaking(lambda context: None)])
    async with open_runtimes(path, [agent], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        (await model.next_request()).answer("a long story")
        second = await model.next_request()
        second.answer("short")
        result = await run.result()

    assert request_messages(second.request)[-2:] == [("assistant", "a long story"), BRIEF]
    assert result.output == "short"


async def test_a_message_resumes_a_waiting_run(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run_id = await start_waiting_run(runtime, model)
        await other.steer(run_id, "Be brief", by="ann")
        asked = await model.next_request()
        asked.answer("it waits for you")
        run = runtime.get_run(run_id)
        told = [type(event) async for event in run]
        result = await run.result()

    assert request_messages(asked.request)[-1] == BRIEF
    assert RunResumed in told
    # Its question still waits.
    assert (result.status, result.termination.type) == ("waiting", "suspended")


async def test_a_queued_run_starts_with_the_messages_sent_to_it(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        first = await runtime.start("planner", "go", thread="t1")
        second = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        await other.steer(second.run_id, "Be brief")
        (await model.next_request()).answer("gone")
        asked = await model.next_request()
        asked.answer("gone on")
        assert (await first.result()).output == "gone"
        assert (await second.result()).output == "gone on"

    assert request_messages(asked.request)[-2:] == [("user", "go on"), BRIEF]


async def test_a_finished_or_unknown_run_accepts_no_message(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        (await model.next_request()).answer("gone")
        await run.result()
        for each in (runtime, other):
            with pytest.raises(RunOver, match="natural_end"):
                await each.steer(run.run_id, "Be brief")
            with pytest.raises(NotFound):
                await each.steer("missing", "Be brief")

    assert read_commands(path, run.run_id) == []


async def test_a_cancelled_queued_run_accepts_no_message(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        await runtime.start("planner", "go", thread="t1")
        queued = await runtime.start("planner", "go on", thread="t1", if_active="queue")
        assert await runtime.cancel(queued.run_id)
        with pytest.raises(RunOver, match="while it was queued"):
            await runtime.steer(queued.run_id, "Be brief")
        assert not await runtime.cancel(queued.run_id)

    assert [entry.kind for entry in read_commands(path, queued.run_id)] == ["start", "cancel"]


async def test_a_message_sent_twice_with_one_id_counts_once(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        first = await model.next_request()
        for each in (runtime, other, runtime):
            await each.steer(run.run_id, "Be brief", id="s1")
            with pytest.raises(RunError, match="'s1' already exists"):
                await each.steer(run.run_id, "Be long", id="s1")
        first.answer(ADD)
        second = await model.next_request()
        await runtime.steer(run.run_id, "Be brief", id="s1")
        second.answer("three")
        assert (await run.result()).output == "three"

    assert heard(second.request) == 1
    assert [entry.id for entry in read_commands(path, run.run_id)] == ["s1"]


async def test_a_run_can_be_cancelled_whatever_the_ids_of_its_commands(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        await model.next_request()
        await runtime.steer(run.run_id, "Be brief", id="cancel")
        assert await runtime.cancel(run.run_id)
        result = await run.result()

    assert result.termination.type == "cancelled"
    assert [entry.kind for entry in read_commands(path, run.run_id)] == ["steer", "cancel"]


@pytest.mark.parametrize("id", ["prompt", "1:1", "1:2", "1:3", "1:4"])
async def test_a_message_is_delivered_whatever_its_id(path: Path, id: str) -> None:
    """The id of another message of the run hides neither."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        first = await model.next_request()
        await runtime.steer(run.run_id, "Be brief", id=id)
        first.answer(ADD)
        second = await model.next_request()
        second.answer("three")
        await run.result()
        conversation = [(message.role, message.content) for message in runtime.messages("t1")]

    assert conversation == [("user", "go"), ("assistant", ""), ("tool", "3"), BRIEF, ("assistant", "three")]
