"""Permission rules that are stored on the thread or override it for one run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.approvals import LOOK, SEND, look, permission_agent, resume_with, send
from support.command import call
from support.log_reads import read_history, read_payloads, read_tool_results
from support.models import offered_tools, recording_model
from support.runtimes import open_runtime, run_agent
from threadlog.engine import (
    Agent,
    Behavior,
    Context,
    Decision,
    ModelRequest,
    OverridePermission,
    Permission,
    RemovePermission,
    SetPermission,
    State,
    ToolCall,
    ToolResult,
    tool,
)
from threadlog.engine.behaviors.permission_rule import Verdict
from threadlog.reducers import StateAction, replay

pytestmark = pytest.mark.anyio


async def test_an_answer_to_be_remembered_is_a_rule_for_the_tool(path: Path) -> None:
    """who stored it is in the log, and so not in the rule"""
    other = ToolCall("send", {"to": "eve"}, "c3")
    async with open_runtime(path, permission_agent(Permission(), SEND, other, "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        approval = Decision.approve("c1", {"remember": True})
        assert await resume_with(runtime, started.run_id, approval) == "natural_end"

    assert read_tool_results(path) == ["sent to ann", "sent to eve"]
    assert read_payloads(path, "SetPermission") == [{"subject": "send", "verdict": "allow"}]
    sources = [a.source for c in read_history(path) for a in c.actions if a.action == "SetPermission"]
    assert sources == ["behavior:Permission:before_tool_execute"]
    assert replay(read_history(path)).state["permission_policy"] == {"rules": {"send": "allow"}}
    # Reduced again by who has the file alone: threadlog's own behaviors are known to it.
    assert call("replay --level reducers --db", path).code == 0


async def test_a_denial_to_be_remembered_holds_in_the_next_run_too(path: Path) -> None:
    model, requests = recording_model(SEND, "done", SEND, "done")
    async with open_runtime(path, permission_agent(Permission(), model=model)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        denial = Decision.deny("c1", "never", result={"remember": True})
        assert await resume_with(runtime, started.run_id, denial) == "natural_end"
        await (await runtime.start("planner", "again", thread="t1")).result()

    assert [offered_tools(request) for request in requests] == [
        ["send", "look"],
        ["look"],
        ["look"],
        ["look"],
    ]
    assert read_tool_results(path)[1] == "{\"error\":\"The tool 'send' is denied by the rule 'send'\"}"


async def test_an_answer_to_another_question_is_not_remembered(path: Path) -> None:
    @tool(needs_approval=True)
    async def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    planner = permission_agent(Permission(default="allow"), ToolCall("pay", {"amount": 1}, "c1"), tools=[pay])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        approval = Decision.approve("c1", {"remember": True})
        assert await resume_with(runtime, started.run_id, approval) == "natural_end"

    assert (read_tool_results(path), read_payloads(path, "SetPermission")) == (["paid 1"], [])


class Stores(Behavior):
    """Asks for actions when a run starts."""

    def __init__(self, *wanted: StateAction) -> None:
        self._wanted = wanted

    def run_start(self, context: Context) -> list[State]:
        return [State(action) for action in self._wanted]


async def test_a_stored_rule_counts_like_one_of_the_behavior_until_it_is_removed(path: Path) -> None:
    stored = [SetPermission(subject="*", verdict="allow"), SetPermission(subject="send", verdict="deny")]
    behaviors = [Stores(*stored, RemovePermission(subject="send")), Permission(deny=["look"])]

    await run_agent(path, permission_agent(Permission(), [SEND, LOOK], "done", behaviors=behaviors))

    assert set(read_tool_results(path)) == {
        "sent to ann",
        "{\"error\":\"The tool 'look' is denied by the rule 'look'\"}",
    }


@tool
async def learn(verdict: Verdict) -> ToolResult:
    """Learn to send."""
    return ToolResult("learned", [OverridePermission(subject="send", verdict=verdict)])


def learning(verdict: Verdict, stored: Verdict, deny: Sequence[str] = ()) -> tuple[Agent, list[ModelRequest]]:
    """An agent on a thread that has stored a rule, and whose tool stores one for the run."""
    model, requests = recording_model(ToolCall("learn", {"verdict": verdict}), SEND, "done", SEND, "done")
    permission = Permission(allow=["learn"], deny=deny)
    behaviors = [Stores(SetPermission(subject="send", verdict=stored)), permission]
    return permission_agent(permission, model=model, tools=[send, learn], behaviors=behaviors), requests


DENIED = "{\"error\":\"The tool 'send' is denied by the rule 'send'\"}"


async def test_an_override_stands_in_the_place_of_the_thread_s_rule_to_the_end_of_the_run(path: Path) -> None:
    planner, requests = learning("allow", "deny")
    async with open_runtime(path, planner) as runtime:
        for prompt in ("go", "again"):
            await (await runtime.start("planner", prompt, thread="t1")).result()

    assert read_tool_results(path) == ["learned", "sent to ann", DENIED]
    assert [offered_tools(request)[0] for request in requests] == ["learn", "send", "send", "learn", "learn"]
    assert replay(read_history(path)).state["permission_policy"] == {"rules": {"send": "deny"}}


@pytest.mark.parametrize(("verdict", "stored", "deny"), [("deny", "allow", []), ("allow", "allow", ["send"])])
async def test_an_override_may_deny_and_does_not_lift_what_the_agent_itself_denies(
    path: Path, verdict: Verdict, stored: Verdict, deny: list[str]
) -> None:
    await run_agent(path, learning(verdict, stored, deny)[0])

    assert read_tool_results(path) == ["learned", DENIED]


async def test_an_override_outlasts_a_question_to_a_person(path: Path) -> None:
    calls = [ToolCall("learn", {"verdict": "allow"}), LOOK]
    planner = permission_agent(
        Permission(allow=["learn"]), calls, "so far", SEND, "done", tools=[send, look, learn]
    )
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await resume_with(runtime, started.run_id, Decision.approve("c2")) == "natural_end"

    assert read_tool_results(path)[1:] == ["looked at /tmp/a", "sent to ann"]


async def test_a_person_s_answer_counts_for_its_call_whatever_rule_was_stored_since(path: Path) -> None:
    other = ToolCall("send", {"to": "eve"}, "c3")
    async with open_runtime(path, permission_agent(Permission(), [SEND, other], "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        denial = Decision.deny("c1", "not her", result={"remember": True})
        assert await resume_with(runtime, started.run_id, denial) == "suspended"
        assert await resume_with(runtime, started.run_id, Decision.approve("c3")) == "natural_end"

    assert read_tool_results(path) == ['{"error":"not her"}', "sent to eve"]


@pytest.mark.parametrize("action", [SetPermission, OverridePermission])
async def test_a_rule_that_is_none_cannot_be_stored(path: Path, action: Any) -> None:
    behaviors = [Stores(action(subject="send(", verdict="deny")), Permission()]

    result = await run_agent(path, permission_agent(Permission(), "done", behaviors=behaviors))

    assert "invalid permission rule 'send(' with verdict 'deny'" in (result.termination.detail or "")
