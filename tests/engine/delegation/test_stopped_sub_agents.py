"""Sub-agents that are stopped, and runs that are cancelled with their sub-agents."""

from pathlib import Path

import pytest

from support.gated_runs import GatedModel, opened
from support.replay_checks import conversation, running
from support.runs import said
from support.sub_agents import answers, delegate, of_run, planner, researcher
from threadlog.engine import Agent, ModelRequest, ToolCall

pytestmark = pytest.mark.anyio


def chain(gate: GatedModel) -> list[Agent]:
    """A planner, who has a researcher in the background, who has a reader in the background."""
    reader = Agent("reader", gate)
    read = ToolCall("agent_run", {"agent_id": "reader", "prompt": "read", "background": True})
    return [researcher(read, "on it", agents=["reader"]), reader]


async def test_to_stop_a_sub_agent_stops_all_that_it_has_started_and_keeps_the_reason(path: Path) -> None:
    gate = GatedModel()

    def stop(request: ModelRequest) -> ToolCall:
        return ToolCall("agent_stop", {"run_id": runtime.sub_agents("t1")[0].run_id})

    async with running(path, planner(delegate(), stop, "done"), *chain(gate)) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        (below,) = runtime.sub_agents(sub.thread_id)

    assert (sub.status, below.status, below.error) == ("completed", "stopped", "stopped by owner request")
    assert [answer["status"] for answer in answers(conversation(path))] == ["completed", "completed"]


async def test_what_is_over_is_not_stopped(path: Path) -> None:
    agents = planner(delegate(), of_run("agent_stop")), researcher("done")
    async with running(path, *agents) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")

    refusal = f"[invalid_state] Run '{sub.run_id}' is not running (current status: completed)"
    assert answers(conversation(path))[-1] == {"error": refusal}


async def test_a_stopped_sub_agent_goes_on_in_its_next_epoch_and_under_its_next_owner(path: Path) -> None:
    gate = GatedModel()
    turns = delegate(background=True), of_run("agent_stop"), "stopped"

    def again(request: ModelRequest) -> ToolCall:
        run_id = runtime.sub_agents("t1")[0].run_id
        return ToolCall("agent_run", {"run_id": run_id, "prompt": "go on", "agent_id": "missing"})

    async with running(path, planner(*turns, again, "done"), researcher(model=gate)) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (stopped,) = runtime.sub_agents("t1")
        second = await runtime.start("planner", "again", thread="t1")
        asked = await gate.asked()
        asked.answer("Three inns")
        await second.result()
        (sub,) = runtime.sub_agents("t1")

    assert (stopped.status, stopped.error) == ("stopped", "stopped by owner request")
    assert (sub.status, sub.epoch, sub.parent_run_id) == ("completed", 2, second.run_id)
    users = [text for role, text in said(asked.request) if role == "user"]
    assert (users[0], users[-1]) == ("Find inns", "go on")


async def test_to_cancel_a_run_cancels_what_it_waits_for_and_what_it_has_in_the_background(
    path: Path,
) -> None:
    gate = GatedModel()
    two = [delegate("inns", background=True), delegate("trains")]
    async with opened(path, [planner(two), researcher(model=gate)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        for _ in range(2):
            await gate.asked()
        assert await runtime.cancel(run.run_id, reason="enough", wait=True)
        assert runtime.active_runs() == []
        subs = runtime.sub_agents("t1")

    assert [(sub.status, sub.error) for sub in subs] == [("stopped", "enough")] * 2
