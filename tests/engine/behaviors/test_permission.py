from pathlib import Path

import pytest
from pydantic import BaseModel

from support.approvals import LOOK, SEND, permission_agent, resume_with
from support.log_reads import read_history, read_messages, read_payloads, read_tool_results
from support.models import offered_tools, recording_model
from support.runtimes import open_runtime, run_agent
from threadlog.engine import Decision, Permission, ToolCall, ToolContext
from threadlog.engine.behaviors.permission import CONFIRM

pytestmark = pytest.mark.anyio


async def test_what_is_allowed_goes_on(path: Path) -> None:
    await run_agent(path, permission_agent(Permission(allow=["look(/tmp/*)"]), LOOK, "done"))

    assert read_tool_results(path) == ["looked at /tmp/a"]


async def test_what_is_denied_is_answered_with_the_rule(path: Path) -> None:
    await run_agent(path, permission_agent(Permission(allow=["*"], deny=["send(ann)"]), SEND, "done"))

    assert read_tool_results(path) == ["{\"error\":\"The tool 'send' is denied by the rule 'send(ann)'\"}"]
    assert read_history(path)[2].tool_calls[0].outcome == "failed"


async def test_only_a_tool_that_is_denied_whatever_its_arguments_is_not_offered(path: Path) -> None:
    model, requests = recording_model("done")
    permission = Permission(deny=["send", "look(/etc/*)", "l*"])

    await run_agent(path, permission_agent(permission, model=model))

    assert offered_tools(requests[0]) == ["look"]


async def test_what_no_rule_is_about_goes_by_the_default(path: Path) -> None:
    """the agent's, not one that is stored; denying all else is how an agent is held to some of its tools"""
    await run_agent(path, permission_agent(Permission(default="deny"), [SEND, LOOK], "done"))

    assert read_tool_results(path) == [
        f'{{"error":"The tool \'{name}\' is denied"}}' for name in ("send", "look")
    ]


async def test_the_run_waits_with_the_question(path: Path) -> None:
    result = await run_agent(path, permission_agent(Permission(), SEND))

    assert (result.status, read_tool_results(path)) == ("waiting", [])
    (asked,) = read_payloads(path, "SuspendToolCall")
    assert asked["suspension"]["action"] == CONFIRM
    assert asked["suspension"]["message"] == "Allow the tool 'send' to run?"
    assert asked["suspension"]["parameters"] == {"tool_name": "send", "tool_args": {"to": "ann"}}


async def test_an_approved_call_runs_and_a_denied_one_does_not(path: Path) -> None:
    async with open_runtime(path, permission_agent(Permission(), [SEND, LOOK], "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await resume_with(runtime, started.run_id, Decision.approve("c1")) == "suspended"
        assert await resume_with(runtime, started.run_id, Decision.deny("c2", "not now")) == "natural_end"

    assert read_tool_results(path) == ["sent to ann", '{"error":"not now"}']


async def test_a_grant_is_for_one_execution_whatever_ids_the_provider_gives(path: Path) -> None:
    """Other systems let a later call through that has the id of an approved one"""
    other = ToolCall("send", {"to": "eve"}, "c1")
    async with open_runtime(path, permission_agent(Permission(), SEND, SEND, other)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        for _ in range(2):
            assert await resume_with(runtime, started.run_id, Decision.approve("c1")) == "suspended"
        (asked,) = runtime.pending(started.run_id)

    assert read_tool_results(path) == ["sent to ann", "sent to ann"]
    assert asked.arguments == {"to": "eve"}


async def test_a_decision_that_is_repeated_when_its_call_is_over_counts_for_no_other_call(path: Path) -> None:
    """A person clicks twice, and the provider gives the next call the same id."""

    async def again(context: ToolContext, to: str) -> str:
        """Send, while the decision comes a second time."""
        await runtime.decide(context.run_id, [Decision.approve(context.call_id)])
        return f"sent to {to}"

    calls = [ToolCall("again", {"to": to}, "c1") for to in ("ann", "eve")]
    planner = permission_agent(Permission(), *calls, tools=[again])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await resume_with(runtime, started.run_id, Decision.approve("c1")) == "suspended"

    assert read_tool_results(path) == ["sent to ann"]


async def test_a_call_goes_on_when_its_approval_is_in_the_log(path: Path) -> None:
    """Otherwise a crash in the tool would leave an effect that no person has allowed."""
    approvals: list[int] = []

    async def pay(context: ToolContext, amount: int) -> str:
        """Pay, and let the other payment go on, too."""
        known = [action.action for one in runtime.log.read("t1") for action in one.actions]
        approvals.append(known.count("DecideToolCall"))
        if context.call_id == "c1":
            await runtime.decide(context.run_id, [Decision.approve("c2")])
        return "paid"

    calls = [ToolCall("pay", {"amount": 1}, "c1"), ToolCall("pay", {"amount": 2}, "c2")]
    async with open_runtime(path, permission_agent(Permission(), calls, "done", tools=[pay])) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await resume_with(runtime, started.run_id, Decision.approve("c1")) == "natural_end"

    assert approvals == [1, 2]
    assert [changeset.reason for changeset in read_history(path)].count("decision") == 1


async def test_a_denial_is_about_one_call_and_the_model_may_ask_again(path: Path) -> None:
    """a person who wants to hear no more of it says `remember`; `LoopDetection` ends such a run"""
    again = ToolCall("send", {"to": "ann"}, "c3")
    async with open_runtime(path, permission_agent(Permission(), SEND, again)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await resume_with(runtime, started.run_id, Decision.deny("c1")) == "suspended"
        (asked,) = runtime.pending(started.run_id)

    assert asked.call_id == "c3"


async def test_a_call_without_an_id_is_asked_about_like_any_other(path: Path) -> None:
    """Other systems refuse it; here every call is given an id, and every question a ticket of its own."""
    async with open_runtime(
        path, permission_agent(Permission(), ToolCall("send", {"to": "ann"}), "done")
    ) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        (asked,) = runtime.pending(started.run_id)
        assert await resume_with(runtime, started.run_id, Decision.approve(asked.call_id)) == "natural_end"

    assert read_tool_results(path) == ["sent to ann"]


class Trip(BaseModel):
    city: str


async def test_giving_the_structured_output_needs_no_permission(path: Path) -> None:
    answer = ToolCall("final_output", {"city": "Kyoto"})

    result = await run_agent(path, permission_agent(Permission(default="deny"), answer, output_type=Trip))

    assert result.output == Trip(city="Kyoto")
    assert read_messages(path)[-1].content == '{"city":"Kyoto"}'
