"""Decisions from anywhere: early, late, twice, against each other, and by who has no agent at all."""

from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.log_reads import read_call_statuses, read_commands, read_run
from support.logs import append_to_file, command_changeset
from support.models import GatedModel
from support.runtimes import open_runtimes, start_waiting_run
from support.tools import ADD, ERASE
from threadlog.engine import Decision, Runtime, ToolCall
from threadlog.engine.events.event import ToolCallDecided
from threadlog.store.errors import ContentError, NotFound, RunError, RunOver

pytestmark = pytest.mark.anyio

TWO = [ERASE, ToolCall("erase", {}, "c2")]


async def asking_twice(runtime: Runtime, model: GatedModel) -> str:
    """The id of a run that waits for two answers."""
    run = await runtime.start("planner", "go", thread="t1")
    (await model.next_request()).answer(TWO)
    assert (await run.result()).status == "waiting"
    return run.run_id


async def test_a_process_without_the_agent_can_decide(path: Path) -> None:
    """By the call's ticket. The log and the events say who decided."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run_id = await start_waiting_run(runtime, model)
        (call,) = other.pending(run_id)
        assert call.suspension
        await other.decide(run_id, [Decision.approve(call.suspension.ticket, by="ann")])
        (await model.next_request()).answer("gone")
        result = await other.get_run(run_id).result()
        told = [event async for event in other.subscribe(run_id) if isinstance(event, ToolCallDecided)]

    assert (result.output, read_call_statuses(path)) == ("gone", {"c1": "succeeded"})
    assert [event.decision.by for event in told] == ["ann"]
    assert [(entry.kind, entry.by) for entry in read_commands(path, run_id)] == [("decide", "ann")]


async def test_a_decision_made_while_no_process_runs_is_applied_later(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run_id = await start_waiting_run(runtime, model)
    async with Runtime.open(path, agents=[], durability="normal") as runtime:
        await runtime.decide(run_id, [Decision.deny("c1", "not today", by="ann")])
        assert [row.status for row in runtime.active_runs()] == ["waiting"]

    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        (await model.next_request()).answer("not gone")
        assert (await runtime.get_run(run_id).result()).output == "not gone"

    assert read_call_statuses(path) == {"c1": "cancelled"}


async def test_an_early_decision_applies_to_its_call_only(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        asked = await model.next_request()
        await other.decide(run.run_id, [Decision.deny("c2", by="ann"), Decision.approve("c9", by="bob")])
        asked.answer(TWO)
        (await model.next_request()).answer("one is refused")
        assert (await run.result()).status == "waiting"
        assert [call.call_id for call in runtime.pending(run.run_id)] == ["c1"]
        await other.decide(run.run_id, [Decision.approve("c1", by="cleo")])
        (await model.next_request()).answer("the other is gone")
        assert (await run.result()).output == "the other is gone"

    assert read_call_statuses(path) == {"c1": "succeeded", "c2": "cancelled"}
    unused = [a.payload for a in read_run(path, run.run_id)[-1].actions if a.action == "RemoveDecision"]
    assert unused == [{"target": "c9", "unused": True}]


async def test_a_decision_that_a_waiting_run_does_not_ask_for_is_refused(path: Path) -> None:
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run_id = await start_waiting_run(runtime, model)
        for each in (runtime, other):
            with pytest.raises(RunError, match="is not waiting for a decision about 'c2'"):
                await each.decide(run_id, [Decision.approve("c1"), Decision.approve("c2")])
            with pytest.raises(ContentError):
                await each.decide(run_id, [Decision.approve("c1"), Decision.approve("c1", result=object())])
            with pytest.raises(NotFound):
                await each.decide("missing", [Decision.approve("c1")])
        assert [row.status for row in runtime.active_runs()] == ["waiting"]

    assert read_commands(path, run_id) == []


async def test_repeating_a_decision_is_a_no_op_and_contradicting_it_is_refused(path: Path) -> None:
    """Before its call asks, while it asks, and after it was answered."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        first = await model.next_request()
        for each in (runtime, other, runtime):
            await each.decide(run.run_id, [Decision.approve("c1", by="ann")])
            with pytest.raises(RunError, match="already decided"):
                await each.decide(run.run_id, [Decision.deny("c1")])
        first.answer(ERASE)
        second = await model.next_request()
        for each in (runtime, other):
            await each.decide(run.run_id, [Decision.approve("c1")])
            with pytest.raises(RunError, match="already decided"):
                await each.decide(run.run_id, [Decision.deny("c1"), Decision.approve("c5")])
        second.answer("gone")
        assert (await run.result()).output == "gone"
        with pytest.raises(RunOver):
            await other.decide(run.run_id, [Decision.approve("c7")])

    assert [entry.by for entry in read_commands(path, run.run_id)] == ["ann"]


async def test_one_of_two_simultaneous_contradicting_decisions_is_refused(path: Path) -> None:
    model = GatedModel()
    told: list[str | None] = []

    async def decide(runtime: Runtime, decision: Decision) -> None:
        try:
            await runtime.decide(run_id, [decision])
            told.append(decision.by)
        except RunError:
            pass

    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run_id = await start_waiting_run(runtime, model)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide, runtime, Decision.approve("c1", by="ann"))
            tasks.start_soon(decide, other, Decision.deny("c1", by="bob"))
            tasks.start_soon(model.answer_all, "done")
            assert (await runtime.get_run(run_id).result()).status in ("waiting", "done")
            async for event in runtime.subscribe(run_id):
                if isinstance(event, ToolCallDecided):
                    decided = event.decision.by
            tasks.cancel_scope.cancel()

    assert told == [decided]
    assert [entry.by for entry in read_commands(path, run_id)] == [decided]


async def test_a_batch_of_decisions_is_one_append(path: Path) -> None:
    """No changeset comes between its decisions, and the run applies them together."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run_id = await asking_twice(runtime, model)
        first = runtime.log.position()
        batch = [Decision.deny("c2", by="ann"), Decision.approve("c1", by="ann")]
        await other.decide(run_id, batch)
        (await model.next_request()).answer("done")
        assert (await runtime.get_run(run_id).result()).output == "done"
        behind = [entry.changeset for entry in runtime.log.entries(first)]

    assert [changeset.entry and changeset.entry.kind for changeset in behind[:3]] == [
        "decide",
        "decide",
        None,
    ]
    assert (behind[2].reason, behind[2].control) == ("run_resumed", 2)
    assert read_call_statuses(path) == {"c1": "succeeded", "c2": "cancelled"}


async def test_a_decision_does_not_apply_to_a_later_call_with_the_same_id(path: Path) -> None:
    """Providers reuse ids: the second question has a ticket of its own."""
    model = GatedModel()
    async with open_runtimes(path, [gated_agent(model)], []) as (runtime, other):
        run_id = await start_waiting_run(runtime, model)
        await other.decide(run_id, [Decision.approve("c1", by="ann")])
        (await model.next_request()).answer(ADD.model_copy(update={"id": "c3"}))
        (await model.next_request()).answer(ERASE)
        events = [event async for event in runtime.get_run(run_id)]
        assert events
        assert (await runtime.get_run(run_id).result()).status == "waiting"
        await other.decide(run_id, [Decision.deny("c1", by="bob")])
        (await model.next_request()).answer("once is enough")
        assert (await runtime.get_run(run_id).result()).output == "once is enough"

    assert [entry.by for entry in read_commands(path, run_id)] == ["ann", "bob"]
    assert read_call_statuses(path) == {"c1": "cancelled", "c3": "succeeded"}


async def test_a_superfluous_decision_is_not_kept_for_a_later_call(path: Path) -> None:
    model, again = GatedModel(), {"target": "c1", "approved": True}
    async with open_runtimes(path, [gated_agent(model)]) as (runtime,):
        run_id = await start_waiting_run(runtime, model)
        await runtime.decide(run_id, [Decision.approve("c1")])
        asked = await model.next_request()
        append_to_file(path, command_changeset(run_id, kind="decide", content=again))
        await runtime.steer(run_id, "once more")
        asked.answer(ADD.model_copy(update={"id": "c3"}))
        (await model.next_request()).answer(ERASE)
        with anyio.fail_after(10):
            assert (await runtime.get_run(run_id).result()).status == "waiting"
        await runtime.decide(run_id, [Decision.deny("c1")])
        (await model.next_request()).answer("once is enough")
        assert (await runtime.get_run(run_id).result()).output == "once is enough"

    assert read_call_statuses(path) == {"c1": "cancelled", "c3": "succeeded"}
