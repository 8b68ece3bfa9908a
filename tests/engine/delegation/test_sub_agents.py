"""Agents that have others work for them: agent_run, agent_stop and agent_output, here."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from support.agents import delegating_agent, researcher
from support.delegation import call_with_last_run, delegate, tool_answers
from support.log_reads import read_messages, read_run, read_state
from support.models import GatedModel, recording_model, request_messages
from support.runtimes import open_runtime, open_runtimes
from support.tools import ERASE, add, erase
from threadlog.engine import Agent, Decision, ModelRequest, Permission, ScriptedModel, ToolCall, ToolContext
from threadlog.engine.events.event import ToolProgress
from threadlog.store import Message

pytestmark = pytest.mark.anyio


async def test_a_sub_agent_works_on_a_thread_of_its_own_and_its_answer_is_read_from_there(path: Path) -> None:
    agents = (
        delegating_agent(delegate(), call_with_last_run("agent_output"), "done"),
        researcher("Three inns"),
    )
    async with open_runtime(path, *agents) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        await run.result()
        (sub,) = runtime.sub_agents("t1")
        assert runtime.messages(sub.thread_id)[-1].content == "Three inns"
        assert [row.run_id for row in runtime.log.children(run.run_id)] == [sub.run_id]

    ran, read = tool_answers(read_messages(path))
    assert ran == {"run_id": sub.run_id, "agent_id": "researcher", "status": "completed", "error": None}
    assert read == {**ran, "output": "Three inns"}
    assert (sub.status, sub.thread_id) == ("completed", f"sub-agent-{sub.run_id}")


async def test_a_sub_agent_is_in_the_state_before_its_run_begins(path: Path) -> None:
    async with open_runtime(path, delegating_agent(delegate()), researcher()) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        reasons = [
            entry.changeset.reason
            for entry in runtime.log.entries()
            if entry.changeset.thread_id == sub.thread_id or entry.changeset.reason == "tools_started"
        ]

    assert reasons == ["tools_started", "run_started", "assistant_turn", "run_finished"]


async def test_sub_agents_of_one_round_both_stand(path: Path) -> None:
    two = [delegate("inns", background=True), delegate("trains")]
    async with open_runtime(path, delegating_agent(two), researcher()) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        for sub in runtime.sub_agents("t1"):
            await runtime.get_run(sub.run_id).result()
        assert [sub.status for sub in runtime.sub_agents("t1")] == ["completed", "completed"]


def shown(request: ModelRequest, tag: str) -> str:
    return "".join(
        content for role, content in request_messages(request) if role == "system" and f"<{tag}>" in content
    )


async def test_a_sub_agent_in_the_background_outlives_the_run_and_its_owner_is_told_once(path: Path) -> None:
    gate = GatedModel()
    model, requests = recording_model(delegate(background=True), "wait", "one", "two")
    async with open_runtime(path, delegating_agent(model=model), researcher(model=gate)) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        assert (await run.result()).output == "wait"
        (sub,) = runtime.sub_agents("t1")
        assert sub.status == "running"
        (await gate.next_request()).answer("Three inns")
        await runtime.get_run(sub.run_id).result()
        for _ in range(2):
            await (await runtime.start("planner", "well?", thread="t1")).result()

    assert [f'id="{sub.run_id}"' in shown(request, "agent_runs") for request in requests] == [
        False,
        True,
        True,
        False,
    ]
    assert 'status="running"' in shown(requests[1], "agent_runs")
    assert 'status="completed"' in shown(requests[2], "agent_runs")


async def test_an_agent_is_shown_who_may_work_for_it(path: Path) -> None:
    model, requests = recording_model("done")
    writer = Agent("writer", ScriptedModel(), description="Writes <b>.")
    other = Agent("other", ScriptedModel())
    agents = delegating_agent(model=model, agents=["writer", "researcher", "planner", "gone"]), researcher()
    async with open_runtime(path, *agents, writer, other) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()

    catalogue = shown(requests[0], "available_agents")
    assert catalogue.splitlines()[1:4] == [
        "<agent><id>researcher</id><description>Finds things.</description></agent>",
        "<agent><id>writer</id><description>Writes &lt;b&gt;.</description></agent>",
        "</available_agents>",
    ]
    assert {tool.name for tool in requests[0].tools} == {
        "agent_run",
        "agent_stop",
        "agent_output",
        "agent_handoff",
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"prompt": "go"}, "[invalid_arguments] missing 'agent_id'"),
        ({"agent_id": "researcher", "prompt": "  "}, "[invalid_arguments] missing 'prompt'"),
        ({"agent_id": "planner", "prompt": "go"}, "[unknown_agent] Unknown or unavailable agent_id: planner"),
        ({"agent_id": "other", "prompt": "go"}, "[unknown_agent] Unknown or unavailable agent_id: other"),
        ({"run_id": "r9", "prompt": "go"}, "[unknown_run] Unknown run_id: r9"),
    ],
)
async def test_what_cannot_be_started_is_refused_with_a_code(
    path: Path, arguments: dict[str, JsonValue], problem: str
) -> None:
    other = Agent("other", ScriptedModel())
    async with open_runtime(
        path, delegating_agent(ToolCall("agent_run", arguments)), researcher(), other
    ) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        assert runtime.sub_agents("t1") == []

    assert tool_answers(read_messages(path)) == [{"error": problem}]


@pytest.mark.parametrize("tool", ["agent_run", "agent_stop", "agent_output"])
async def test_a_run_of_another_thread_is_unknown(path: Path, tool: str) -> None:
    gate = GatedModel()

    def other(request: ModelRequest) -> ToolCall:
        return ToolCall(tool, {"run_id": runtime.sub_agents("t1")[0].run_id})

    agents = delegating_agent(delegate(background=True), "wait", other), researcher(model=gate)
    async with open_runtime(path, *agents) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        await (await runtime.start("planner", "go", thread="t2")).result()
        (sub,) = runtime.sub_agents("t1")
        assert sub.status == "running"
        assert tool_answers(runtime.messages("t2")) == [
            {"error": f"[unknown_run] Unknown run_id: {sub.run_id}"}
        ]
        await runtime.cancel(sub.run_id)


async def test_a_sub_agent_that_waits_shows_its_tickets_to_its_owner_who_may_decide_for_it(
    path: Path,
) -> None:
    turns = delegate(), "it waits", call_with_last_run("agent_output"), "done"
    asking = researcher(ERASE, "erased all", tools=[erase])
    async with open_runtime(path, delegating_agent(*turns), asking) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        assert (await run.result()).output == "it waits"
        (sub,) = runtime.sub_agents("t1")
        (call,) = sub.pending
        assert call.suspension
        await runtime.decide(sub.run_id, [Decision.approve(call.suspension.ticket)])
        await runtime.get_run(sub.run_id).result()
        assert runtime.sub_agents("t1")[0].status == "completed"
        await (await runtime.start("planner", "and?", thread="t1")).result()

    ran, read = tool_answers(read_messages(path))
    assert (ran["status"], [each["ticket"] for each in ran["tickets"]]) == (
        "waiting",
        [call.suspension.ticket],
    )
    assert (read["status"], read["output"]) == ("completed", "erased all")


async def test_a_fork_knows_the_conversation_and_the_state_of_its_caller(path: Path) -> None:
    gate = GatedModel()
    lookup = ToolCall("agent_output", {"run_id": "r9"}, "c1")
    earlier = [
        Message(id="m1", role="system", content="Be kind."),
        Message(id="m2", role="user", content="go"),
    ]
    agents = delegating_agent([lookup], delegate(fork_context=True, background=True)), researcher(model=gate)
    async with open_runtime(path, *agents) as runtime:
        await runtime.start("planner", earlier, thread="t1", state={"budget": 9})
        asked = await gate.next_request()
        asked.answer("done")
        (sub,) = runtime.sub_agents("t1")
        await runtime.get_run(sub.run_id).result()
        given = runtime.state(sub.thread_id)

    roles = [role for role, _ in request_messages(asked.request)]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert asked.request.messages[0].id == "m2"
    assert (given["budget"], "sub_agents" in given) == (9, False)


async def test_a_sub_agent_is_of_the_agents_with_which_its_owner_began(path: Path) -> None:
    gate = GatedModel()
    old, new = researcher("old"), researcher("new")
    turns = delegating_agent(model=gate)
    async with open_runtimes(path, [turns, old], later=[new]) as (runtime,):
        run = await runtime.start("planner", "go", thread="t1")
        asked = await gate.next_request()
        await runtime.replace([turns, new])
        asked.answer(delegate())
        (await gate.next_request()).answer("done")
        await run.result()
        (sub,) = runtime.sub_agents("t1")
        assert runtime.output(sub.run_id) == "old"
        registries = {each.agent.registry for each in read_run(path, run.run_id) if each.agent}
        assert {each.agent.registry for each in read_run(path, sub.run_id) if each.agent} == registries


async def test_agents_with_tools_of_one_name_work_for_each_other(path: Path) -> None:
    """Only to hand over is not offered: the tool of both could not be told apart."""

    def search_in(place: str) -> Callable[[], str]:
        def search() -> str:
            return place

        return search

    model, requests = recording_model(delegate(), "done")
    agents = (
        delegating_agent(model=model, tools=[search_in("here")]),
        researcher(ToolCall("search"), "found", tools=[search_in("there")]),
    )
    async with open_runtime(path, *agents) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        assert [m.content for m in runtime.messages(sub.thread_id) if m.role == "tool"] == ["there"]

    assert "agent_handoff" not in {tool.name for tool in requests[0].tools}


async def test_what_a_sub_agent_tells_while_it_works_is_told_by_its_caller(path: Path) -> None:
    def work(context: ToolContext) -> str:
        context.progress("half")
        return "whole"

    agents = delegating_agent(delegate()), researcher(ToolCall("work"), "done", tools=[work])
    async with open_runtime(path, *agents) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        told = [event.progress async for event in run if isinstance(event, ToolProgress)]
        (sub,) = runtime.sub_agents("t1")

    assert told == [{"run_id": sub.run_id, "tool": "work", "progress": "half"}]


async def test_a_sub_agent_may_do_what_its_caller_was_permitted(path: Path) -> None:
    policy: JsonValue = {"rules": {"add": "allow"}}
    asking = researcher(ToolCall("add", {"a": 1, "b": 1}), "done", tools=[add], behaviors=[Permission()])
    async with open_runtime(path, delegating_agent(delegate()), asking) as runtime:
        run = await runtime.start("planner", "go", thread="t1", state={"permission_policy": policy})
        await run.result()
        (sub,) = runtime.sub_agents("t1")

    assert sub.status == "completed"
    assert read_state(path, sub.thread_id)["permission_policy"] == policy
