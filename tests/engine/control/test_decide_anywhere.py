"""Decisions from anywhere: early, late, twice, against each other, and by who has no agent at all."""

from pathlib import Path

import anyio
import pytest

from support.control_entries import appended, wanted
from support.gated_runs import ADD, ERASE, GatedModel, changesets, entries, opened, planner, waiting
from support.runs import statuses
from threadlog.engine import Decision, Runtime, ToolCall
from threadlog.engine.events.event import ToolCallDecided
from threadlog.store.errors import ContentError, NotFound, RunError, RunOver

pytestmark = pytest.mark.anyio

TWO = [ERASE, ToolCall("erase", {}, "c2")]


async def asking_twice(runtime: Runtime, model: GatedModel) -> str:
    """The id of a run that waits for two answers."""
    run = await runtime.start("planner", "go", thread="t1")
    (await model.asked()).answer(TWO)
    assert (await run.result()).status == "waiting"
    return run.run_id


async def test_a_process_without_the_agent_can_decide(path: Path) -> None:
    """By the call's ticket. The log and the events say who decided."""
    model = GatedModel()
    async with opened(path, [planner(model)], []) as (runtime, other):
        run_id = await waiting(runtime, model)
        (call,) = other.pending(run_id)
        assert call.suspension
        await other.decide(run_id, [Decision.approve(call.suspension.ticket, by="ann")])
        (await model.asked()).answer("gone")
        result = await other.get_run(run_id).result()
        told = [event async for event in other.subscribe(run_id) if isinstance(event, ToolCallDecided)]

    assert (result.output, statuses(path)) == ("gone", {"c1": "succeeded"})
    assert [event.decision.by for event in told] == ["ann"]
    assert [(entry.kind, entry.by) for entry in entries(path, run_id)] == [("decide", "ann")]


async def test_a_decision_made_while_no_process_runs_is_applied_later(path: Path) -> None:
    model = GatedModel()
    async with opened(path, [planner(model)]) as (runtime,):
        run_id = await waiting(runtime, model)
    async with Runtime.open(path, agents=[], durability="normal") as runtime:
        await runtime.decide(run_id, [Decision.deny("c1", "not today", by="ann")])
        assert [row.status for row in runtime.active_runs()] == ["waiting"]

    async with opened(path, [planner(model)]) as (runtime,):
        (await model.asked()).answer("not gone")
        assert (await runtime.get_run(run_id).result()).output == "not gone"

    assert statuses(path) == {"c1": "cancelled"}


async def test_an_early_decision_applies_to_its_call_only(path: Path) -> None:
    model = GatedModel()
    async with opened(path, [planner(model)], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        asked = await model.asked()
        await other.decide(run.run_id, [Decision.deny("c2", by="ann"), Decision.approve("c9", by="bob")])
        asked.answer(TWO)
        (await model.asked()).answer("one is refused")
        assert (await run.result()).status == "waiting"
        assert [call.call_id for call in runtime.pending(run.run_id)] == ["c1"]
        await other.decide(run.run_id, [Decision.approve("c1", by="cleo")])
        (await model.asked()).answer("the other is gone")
        assert (await run.result()).output == "the other is gone"

    assert statuses(path) == {"c1": "succeeded", "c2": "cancelled"}
    unused = [a.payload for a in changesets(path, run.run_id)[-1].actions if a.action == "RemoveDecision"]
    assert unused == [{"target": "c9", "unused": True}]


async def test_a_decision_that_a_waiting_run_does_not_ask_for_is_refused(path: Path) -> None:
    model = GatedModel()
    async with opened(path, [planner(model)], []) as (runtime, other):
        run_id = await waiting(runtime, model)
        for each in (runtime, other):
            with pytest.raises(RunError, match="is not waiting for a decision about 'c2'"):
                await each.decide(run_id, [Decision.approve("c1"), Decision.approve("c2")])
            with pytest.raises(ContentError):
                await each.decide(run_id, [Decision.approve("c1"), Decision.approve("c1", result=object())])
            with pytest.raises(NotFound):
                await each.decide("missing", [Decision.approve("c1")])
        assert [row.status for row in runtime.active_runs()] == ["waiting"]

    assert entries(path, run_id) == []


async def test_repeating_a_decision_is_a_no_op_and_contradicting_it_is_refused(path: Path) -> None:
    """Before its call asks, while it asks, and after it was answered."""
    model = GatedModel()
    async with opened(path, [planner(model)], []) as (runtime, other):
        run = await runtime.start("planner", "go", thread="t1")
        first = await model.asked()
        for each in (runtime, other, runtime):
            await each.decide(run.run_id, [Decision.approve("c1", by="ann")])
            with pytest.raises(RunError, match="already decided"):
                await each.decide(run.run_id, [Decision.deny("c1")])
        first.answer(ERASE)
        second = await model.asked()
        for each in (runtime, other):
            await each.decide(run.run_id, [Decision.approve("c1")])
            with pytest.raises(RunError, match="already decided"):
                await each.decide(run.run_id, [Decision.deny("c1"), Decision.approve("c5")])
        second.answer("gone")
        assert (await run.result()).output == "gone"
        with pytest.raises(RunOver):
            await other.decide(run.run_id, [Decision.approve("c7")])

    assert [entry.by for entry in entries(path, run.run_id)] == ["ann"]


async def test_one_of_two_simultaneous_contradicting_decisions_is_refused(path: Path) -> None:
    model = GatedModel()
    told: list[str | None] = []

    async def decide(runtime: Runtime, decision: Decision) -> None:
        try:
            await runtime.decide(run_id, [decision])
            told.append(decision.by)
        except RunError:
            pass

    async with opened(path, [planner(model)], []) as (runtime, other):
        run_id = await waiting(runtime, model)
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
    assert [entry.by for entry in entries(path, run_id)] == [decided]


async def test_a_batch_of_decisions_is_one_append(path: Path) -> None:
    """No changeset comes between its decisions, and the run applies them together."""
    model = GatedModel()
    async with opened(path, [planner(model)], []) as (runtime, other):
        run_id = await asking_twice(runtime, model)
        first = runtime.log.position()
        batch = [Decision.deny("c2", by="ann"), Decision.approve("c1", by="ann")]
        await other.decide(run_id, batch)
        (await model.asked()).answer("done")
        assert (await runtime.get_run(run_id).result()).output == "done"
        behind = [entry.changeset for entry in runtime.log.entries(first)]

    assert [changeset.entry and changeset.entry.kind for changeset in behind[:3]] == [
        "decide",
        "decide",
        None,
    ]
    assert (behind[2].reason, behind[2].control) == ("run_resumed", 2)
    assert statuses(path) == {"c1": "succeeded", "c2": "cancelled"}


async def test_a_decision_does_not_apply_to_a_later_call_with_the_same_id(path: Path) -> None:
    """Providers reuse ids: the second question has a ticket of its own."""
    model = GatedModel()
    async with opened(path, [planner(model)], []) as (runtime, other):
        run_id = await waiting(runtime, model)
        await other.decide(run_id, [Decision.approve("c1", by="ann")])
        (await model.asked()).answer(ADD.model_copy(update={"id": "c3"}))
        (await model.asked()).answer(ERASE)
        events = [event async for event in runtime.get_run(run_id)]
        assert events
        assert (await runtime.get_run(run_id).result()).status == "waiting"
        await other.decide(run_id, [Decision.deny("c1", by="bob")])
        (await model.asked()).answer("once is enough")
        assert (await runtime.get_run(run_id).result()).output == "once is enough"

    assert [entry.by for entry in entries(path, run_id)] == ["ann", "bob"]
    assert statuses(path) == {"c1": "cancelled", "c3": "succeeded"}


async def test_a_superfluous_decision_is_not_kept_for_a_later_call(path: Path) -> None:
    model, again = GatedModel(), {"target": "c1", "approved": True}
    async with opened(path, [planner(model)]) as (runtime,):
        run_id = await waiting(runtime, model)
        await runtime.decide(run_id, [Decision.approve("c1")])
        asked = await model.asked()
        appended(path, wanted(run_id, kind="decide", content=again))
        await runtime.steer(run_id, "once more")
        asked.answer(ADD.model_copy(update={"id": "c3"}))
        (await model.asked()).answer(ERASE)
        with anyio.fail_after(10):
            assert (await runtime.get_run(run_id).result()).status == "waiting"
        await runtime.decide(run_id, [Decision.deny("c1")])
        (await model.asked()).answer("once is enough")
        assert (await runtime.get_run(run_id).result()).output == "once is enough"

    assert statuses(path) == {"c1": "cancelled", "c3": "succeeded"}
