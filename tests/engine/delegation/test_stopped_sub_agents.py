"""Sub-agents that are stopped, and runs that are cancelled with their sub-agents."""

from pathlib import Path

import pytest

from support.agents import delegating_agent, researcher
from support.delegation import call_with_last_run, delegate, tool_answers
from support.log_reads import read_messages
from support.models import GatedModel, request_messages
from support.runtimes import open_runtime, open_runtimes
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

    async with open_runtime(path, delegating_agent(delegate(), stop, "done"), *chain(gate)) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        (below,) = runtime.sub_agents(sub.thread_id)

    assert (sub.status, below.status, below.error) == ("completed", "stopped", "stopped by owner request")
    assert [answer["status"] for answer in tool_answers(read_messages(path))] == ["completed", "completed"]


async def test_what_is_over_is_not_stopped(path: Path) -> None:
    agents = delegating_agent(delegate(), call_with_last_run("agent_stop")), researcher("done")
    async with open_runtime(path, *agents) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")

    refusal = f"[invalid_state] Run '{sub.run_id}' is not running (current status: completed)"
    assert tool_answers(read_messages(path))[-1] == {"error": refusal}


async def test_a_stopped_sub_agent_goes_on_in_its_next_epoch_and_under_its_next_owner(path: Path) -> None:
    gate = GatedModel()
    turns = delegate(background=True), call_with_last_run("agent_stop"), "stopped"

    def again(request: ModelRequest) -> ToolCall:
        run_id = runtime.sub_agents("t1")[0].run_id
        return ToolCall("agent_run", {"run_id": run_id, "prompt": "go on", "agent_id": "missing"})

    async with open_runtime(path, delegating_agent(*turns, again, "done"), researcher(model=gate)) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (stopped,) = runtime.sub_agents("t1")
        second = await runtime.start("planner", "again", thread="t1")
        asked = await gate.next_request()
        asked.answer("Three inns")
        await second.result()
        (sub,) = runtime.sub_agents("t1")

    assert (stopped.status, stopped.error) == ("stopped", "stopped by owner request")
    assert (sub.status, sub.epoch, sub.parent_run_id) == ("completed", 2, second.run_id)
    users = [text for role, text in request_messages(asked.request) if role == "user"]
    assert (users[0], users[-1]) == ("Find inns", "go on")


async def test_to_cancel_a_run_cancels_what_it_waits_for_and_what_it_has_in_the_background(
    path: Path,
) -> None:
    gate = GatedModel()
    two = [delegate("inns", background=True), delegate("trains")]
    async with open_runtimes(path, [delegating_agent(two), researcher(model=gate)]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        for _ in range(2):
            await gate.next_request()
        assert await runtime.cancel(run.run_id, reason="enough", wait=True)
        assert runtime.active_runs() == []
        subs = runtime.sub_agents("t1")

    assert [(sub.status, sub.error) for sub in subs] == [("stopped", "enough")] * 2
