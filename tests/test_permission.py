from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from calls import call
from pydantic import BaseModel
from replayed import actions, conversation, listening, offered, run, running
from runs import history, told

from threadlog.engine import (
    Agent,
    Behavior,
    Context,
    Decision,
    ModelRequest,
    OverridePermission,
    Permission,
    RemovePermission,
    Runtime,
    ScriptedModel,
    SetPermission,
    State,
    ToolCall,
    ToolContext,
    ToolResult,
    tool,
)
from threadlog.engine.behaviors.permission import CONFIRM
from threadlog.engine.behaviors.permission_rule import Verdict, rule, strongest
from threadlog.reducers import StateAction, replay
from threadlog.store.errors import DefinitionError

pytestmark = pytest.mark.anyio


@tool
async def send(to: str, text: str = "") -> str:
    """Send a message."""
    return f"sent to {to}"


@tool
async def look(path: str) -> str:
    """Look at a file."""
    return f"looked at {path}"


SEND = ToolCall("send", {"to": "ann"}, "c1")
LOOK = ToolCall("look", {"path": "/tmp/a"}, "c2")


def agent(permission: Permission, *turns: Any, **fields: Any) -> Agent:
    given = {"model": ScriptedModel(*turns), "tools": [send, look], "behaviors": [permission], **fields}
    return Agent("planner", **given)


async def decided(runtime: Runtime, run_id: str, decision: Decision) -> str:
    """How the run went on."""
    resumed = await runtime.decide(run_id, [decision])
    assert resumed
    return (await resumed.result()).termination.type


FITTING: list[tuple[str, Any]] = [
    ("Bash", {}),
    ("Ba*", {}),
    ("?ash", {}),
    ("/B.s./", {}),
    ('/(Ba|Da)sh/(command ~ "npm *")', {"command": "npm test"}),
    ("Bash(npm *)", {"command": "npm test"}),
    ("Bash(npm *)", {"command": "npm a\nb"}),
    ("Bash(cd ~/*)", {"command": "cd ~/a"}),
    ('Bash(command ~ "npm *")', {"command": "npm test", "timeout": 5}),
    ('Bash(command = "npm *")', {"command": "npm *"}),
    ('Bash(command =~ "npm (test|ci)")', {"command": "npm ci"}),
    ('Bash(command =~ "\\d+")', {"command": "12"}),
    ('Bash(command !~ "npm *")', {"command": "rm a"}),
    ('Bash(command != "a", n != "2")', {"command": "b", "n": 1}),
    ('Bash(command !=~ "a+")', {"command": "ab"}),
    ('Bash(command !~ "npm *")', {}),
    ('Bash(n = "5", on = "true", list = "[1,2]")', {"n": 5, "on": True, "list": [1, 2]}),
    ('Bash(a.b.1 = "y")', {"a": {"b": ["x", "y"]}}),
    ('Bash(files.*.path ~ "/tmp/*")', {"files": [{"path": "/etc/b"}, {"path": "/tmp/a"}]}),
    ('Bash(text = "say \\"a, b\\" \\\\")', {"text": 'say "a, b" \\'}),
]


@pytest.mark.parametrize(("subject", "arguments"), FITTING)
def test_a_rule_is_about_the_calls_that_its_subject_describes(subject: str, arguments: Any) -> None:
    assert rule(subject, "ask").matches(ToolCall("Bash", arguments))


OTHERS: list[tuple[str, Any]] = [
    ("bash", {}),
    ("Bas", {}),
    ("/Bas/", {}),
    ("Bash(npm *)", {"command": "pnpm test"}),
    ("Bash(npm *)", {}),
    ("Bash(npm *)", "npm test"),
    ('Bash(command = "npm *")', {"command": "npm test"}),
    ('Bash(command =~ "npm")', {"command": "npm ci"}),
    ('Bash(command !~ "npm *")', {"command": "npm test"}),
    ('Bash(command = "a", n = "1")', {"command": "a", "n": 2}),
    ('Bash(a.b.2 = "y")', {"a": {"b": ["x", "y"]}}),
    ('Bash(a.b = "y")', {"a": "y"}),
]


@pytest.mark.parametrize(("subject", "arguments"), OTHERS)
def test_a_rule_is_not_about_other_calls(subject: str, arguments: Any) -> None:
    assert not rule(subject, "ask").matches(ToolCall("Bash", arguments))


@pytest.mark.parametrize(("verdict", "matches"), [("allow", False), ("ask", True), ("deny", True)])
def test_of_several_values_all_must_fit_to_be_allowed_and_one_to_be_asked_about_or_denied(
    verdict: Verdict, matches: bool
) -> None:
    call = ToolCall("Bash", {"paths": ["/tmp/a", "/etc/b"], "note": "x"})

    assert rule('Bash(paths.* ~ "/tmp/*")', verdict).matches(call) is matches
    assert rule("Bash(x)", verdict).matches(call) is matches


INCOMPLETE = ["", "Bash(", "Bash()", "Bash( )", "(a)", "Bash(a) b", "/(/", 'Bash(a =~ "(")']
INCOMPLETE += ['Bash(a = "b)', "Bash(a = b)", 'Bash(a = "b" and c)', 'Bash(a="b", c)']


@pytest.mark.parametrize("subject", INCOMPLETE)
def test_a_subject_that_is_not_complete_is_refused(subject: str) -> None:
    """it would never match, and what it was to deny would go on"""
    with pytest.raises(DefinitionError):
        Permission(deny=[subject])


@pytest.mark.parametrize(
    ("rules", "strong"),
    [
        ({"Bash(npm *)": "ask", "Ba*": "allow"}, "Ba*"),
        ({"Bash(npm *)": "allow", "Ba*": "deny"}, "Ba*"),
        ({"Ba*": "deny", "Bash": "deny", "Bash(npm *)": "deny"}, "Bash(npm *)"),
        ({"B*": "ask", "Ba*": "ask", "/.*/": "ask"}, "/.*/"),
    ],
)
def test_of_several_rules_the_verdict_counts_and_then_how_closely_it_describes(
    rules: dict[str, Verdict], strong: str
) -> None:
    call = ToolCall("Bash", {"command": "npm test"})
    found = strongest([rule(subject, verdict) for subject, verdict in rules.items()], call)

    assert found
    assert found.subject == strong


async def test_what_is_allowed_goes_on(path: Path) -> None:
    await run(path, agent(Permission(allow=["look(/tmp/*)"]), LOOK, "done"))

    assert told(path) == ["looked at /tmp/a"]


async def test_what_is_denied_is_answered_with_the_rule(path: Path) -> None:
    await run(path, agent(Permission(allow=["*"], deny=["send(ann)"]), SEND, "done"))

    assert told(path) == ["{\"error\":\"The tool 'send' is denied by the rule 'send(ann)'\"}"]
    assert history(path)[2].tool_calls[0].outcome == "failed"


async def test_only_a_tool_that_is_denied_whatever_its_arguments_is_not_offered(path: Path) -> None:
    model, requests = listening("done")
    permission = Permission(deny=["send", "look(/etc/*)", "l*"])

    await run(path, agent(permission, model=model))

    assert offered(requests[0]) == ["look"]


async def test_what_no_rule_is_about_goes_by_the_default(path: Path) -> None:
    """the agent's, not one that is stored; denying all else is how an agent is held to some of its tools"""
    await run(path, agent(Permission(default="deny"), [SEND, LOOK], "done"))

    assert told(path) == [f'{{"error":"The tool \'{name}\' is denied"}}' for name in ("send", "look")]


async def test_the_run_waits_with_the_question(path: Path) -> None:
    result = await run(path, agent(Permission(), SEND))

    assert (result.status, told(path)) == ("waiting", [])
    (asked,) = actions(path, "ToolCallSuspended")
    assert asked["suspension"]["action"] == CONFIRM
    assert asked["suspension"]["message"] == "Running the tool 'send' needs permission"
    assert asked["suspension"]["parameters"] == {"tool_name": "send", "tool_args": {"to": "ann"}}


async def test_an_approved_call_runs_and_a_denied_one_does_not(path: Path) -> None:
    async with running(path, agent(Permission(), [SEND, LOOK], "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await decided(runtime, started.run_id, Decision.approve("c1")) == "suspended"
        assert await decided(runtime, started.run_id, Decision.deny("c2", "not now")) == "natural_end"

    assert told(path) == ["sent to ann", '{"error":"not now"}']


async def test_a_grant_is_for_one_execution_whatever_ids_the_provider_gives(path: Path) -> None:
    """Other systems let a later call through that has the id of an approved one"""
    other = ToolCall("send", {"to": "eve"}, "c1")
    async with running(path, agent(Permission(), SEND, SEND, other)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        for _ in range(2):
            assert await decided(runtime, started.run_id, Decision.approve("c1")) == "suspended"
        (asked,) = runtime.pending(started.run_id)

    assert told(path) == ["sent to ann", "sent to ann"]
    assert asked.arguments == {"to": "eve"}


async def test_a_decision_that_is_repeated_when_its_call_is_over_counts_for_no_other_call(path: Path) -> None:
    """somebody clicks twice, and the provider gives the next call the same id"""

    async def again(context: ToolContext, to: str) -> str:
        """Send, while the decision comes a second time."""
        await runtime.decide(context.run_id, [Decision.approve(context.call_id)])
        return f"sent to {to}"

    calls = [ToolCall("again", {"to": to}, "c1") for to in ("ann", "eve")]
    planner = agent(Permission(), *calls, tools=[again])
    async with running(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await decided(runtime, started.run_id, Decision.approve("c1")) == "suspended"

    assert told(path) == ["sent to ann"]


async def test_a_call_goes_on_when_its_approval_is_in_the_log(path: Path) -> None:
    """else a crash in the tool would leave a deed that nobody has allowed"""
    approvals: list[int] = []

    async def pay(context: ToolContext, amount: int) -> str:
        """Pay, and let the other payment go on, too."""
        known = [action.action for one in runtime.log.read("t1") for action in one.actions]
        approvals.append(known.count("ToolCallDecided"))
        if context.call_id == "c1":
            await runtime.decide(context.run_id, [Decision.approve("c2")])
        return "paid"

    calls = [ToolCall("pay", {"amount": 1}, "c1"), ToolCall("pay", {"amount": 2}, "c2")]
    async with running(path, agent(Permission(), calls, "done", tools=[pay])) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await decided(runtime, started.run_id, Decision.approve("c1")) == "natural_end"

    assert approvals == [1, 2]
    assert [changeset.reason for changeset in history(path)].count("decision") == 1


async def test_an_answer_to_be_remembered_is_a_rule_for_the_tool(path: Path) -> None:
    """who stored it is in the log, and so not in the rule"""
    other = ToolCall("send", {"to": "eve"}, "c3")
    async with running(path, agent(Permission(), SEND, other, "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        approval = Decision.approve("c1", {"remember": True})
        assert await decided(runtime, started.run_id, approval) == "natural_end"

    assert told(path) == ["sent to ann", "sent to eve"]
    assert actions(path, "SetPermission") == [{"subject": "send", "verdict": "allow"}]
    sources = [a.source for c in history(path) for a in c.actions if a.action == "SetPermission"]
    assert sources == ["behavior:Permission:before_tool_execute"]
    assert replay(history(path)).state["permission_policy"] == {"rules": {"send": "allow"}}
    # Reduced again by who has the file alone: threadlog's own behaviors are known to it.
    assert call("replay --level reducers --db", path).code == 0


async def test_a_denial_to_be_remembered_holds_in_the_next_run_too(path: Path) -> None:
    model, requests = listening(SEND, "done", SEND, "done")
    async with running(path, agent(Permission(), model=model)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        denial = Decision.deny("c1", "never", result={"remember": True})
        assert await decided(runtime, started.run_id, denial) == "natural_end"
        await (await runtime.start("planner", "again", thread="t1")).result()

    assert [offered(request) for request in requests] == [["send", "look"], ["look"], ["look"], ["look"]]
    assert told(path)[1] == "{\"error\":\"The tool 'send' is denied by the rule 'send'\"}"


async def test_an_answer_to_another_question_is_not_remembered(path: Path) -> None:
    @tool(needs_approval=True)
    async def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    planner = agent(Permission(default="allow"), ToolCall("pay", {"amount": 1}, "c1"), tools=[pay])
    async with running(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        approval = Decision.approve("c1", {"remember": True})
        assert await decided(runtime, started.run_id, approval) == "natural_end"

    assert (told(path), actions(path, "SetPermission")) == (["paid 1"], [])


class Stores(Behavior):
    """Asks for actions when a run starts."""

    def __init__(self, *wanted: StateAction) -> None:
        self._wanted = wanted

    def run_start(self, context: Context) -> list[State]:
        return [State(action) for action in self._wanted]


async def test_a_stored_rule_counts_like_one_of_the_behavior_until_it_is_removed(path: Path) -> None:
    stored = [SetPermission(subject="*", verdict="allow"), SetPermission(subject="send", verdict="deny")]
    behaviors = [Stores(*stored, RemovePermission(subject="send")), Permission(deny=["look"])]

    await run(path, agent(Permission(), [SEND, LOOK], "done", behaviors=behaviors))

    assert set(told(path)) == {
        "sent to ann",
        "{\"error\":\"The tool 'look' is denied by the rule 'look'\"}",
    }


@tool
async def learn(verdict: Verdict) -> ToolResult:
    """Learn to send."""
    return ToolResult("learned", [OverridePermission(subject="send", verdict=verdict)])


def learning(verdict: Verdict, stored: Verdict, deny: Sequence[str] = ()) -> tuple[Agent, list[ModelRequest]]:
    """An agent on a thread that has stored a rule, and whose tool stores one for the run."""
    model, requests = listening(ToolCall("learn", {"verdict": verdict}), SEND, "done", SEND, "done")
    permission = Permission(allow=["learn"], deny=deny)
    behaviors = [Stores(SetPermission(subject="send", verdict=stored)), permission]
    return agent(permission, model=model, tools=[send, learn], behaviors=behaviors), requests


DENIED = "{\"error\":\"The tool 'send' is denied by the rule 'send'\"}"


async def test_an_override_stands_in_the_place_of_the_thread_s_rule_to_the_end_of_the_run(path: Path) -> None:
    planner, requests = learning("allow", "deny")
    async with running(path, planner) as runtime:
        for prompt in ("go", "again"):
            await (await runtime.start("planner", prompt, thread="t1")).result()

    assert told(path) == ["learned", "sent to ann", DENIED]
    assert [offered(request)[0] for request in requests] == ["learn", "send", "send", "learn", "learn"]
    assert replay(history(path)).state["permission_policy"] == {"rules": {"send": "deny"}}


@pytest.mark.parametrize(("verdict", "stored", "deny"), [("deny", "allow", []), ("allow", "allow", ["send"])])
async def test_an_override_may_deny_and_does_not_lift_what_the_agent_itself_denies(
    path: Path, verdict: Verdict, stored: Verdict, deny: list[str]
) -> None:
    await run(path, learning(verdict, stored, deny)[0])

    assert told(path) == ["learned", DENIED]


async def test_an_override_outlasts_a_question_to_a_person(path: Path) -> None:
    calls = [ToolCall("learn", {"verdict": "allow"}), LOOK]
    planner = agent(Permission(allow=["learn"]), calls, "so far", SEND, "done", tools=[send, look, learn])
    async with running(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await decided(runtime, started.run_id, Decision.approve("c2")) == "natural_end"

    assert told(path)[1:] == ["looked at /tmp/a", "sent to ann"]


async def test_a_person_s_answer_counts_for_its_call_whatever_rule_was_stored_since(path: Path) -> None:
    other = ToolCall("send", {"to": "eve"}, "c3")
    async with running(path, agent(Permission(), [SEND, other], "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        denial = Decision.deny("c1", "not her", result={"remember": True})
        assert await decided(runtime, started.run_id, denial) == "suspended"
        assert await decided(runtime, started.run_id, Decision.approve("c3")) == "natural_end"

    assert told(path) == ['{"error":"not her"}', "sent to eve"]


async def test_a_denial_is_about_one_call_and_the_model_may_ask_again(path: Path) -> None:
    """a person who wants to hear no more of it says `remember`; `LoopDetection` ends such a run"""
    again = ToolCall("send", {"to": "ann"}, "c3")
    async with running(path, agent(Permission(), SEND, again)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        assert await decided(runtime, started.run_id, Decision.deny("c1")) == "suspended"
        (asked,) = runtime.pending(started.run_id)

    assert asked.call_id == "c3"


async def test_a_call_without_an_id_is_asked_about_like_any_other(path: Path) -> None:
    """Other systems refuse it; here every call is given an id, and every question a ticket of its own."""
    async with running(path, agent(Permission(), ToolCall("send", {"to": "ann"}), "done")) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        (asked,) = runtime.pending(started.run_id)
        assert await decided(runtime, started.run_id, Decision.approve(asked.call_id)) == "natural_end"

    assert told(path) == ["sent to ann"]


@pytest.mark.parametrize("action", [SetPermission, OverridePermission])
async def test_a_rule_that_is_none_cannot_be_stored(path: Path, action: Any) -> None:
    behaviors = [Stores(action(subject="send(", verdict="deny")), Permission()]

    result = await run(path, agent(Permission(), "done", behaviors=behaviors))

    assert "'send(' with 'deny' is no permission rule" in (result.termination.detail or "")


class Trip(BaseModel):
    city: str


async def test_giving_the_structured_output_needs_no_permission(path: Path) -> None:
    answer = ToolCall("final_output", {"city": "Kyoto"})

    result = await run(path, agent(Permission(default="deny"), answer, output_type=Trip))

    assert result.output == Trip(city="Kyoto")
    assert conversation(path)[-1].content == '{"city":"Kyoto"}'
