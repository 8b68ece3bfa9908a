from pathlib import Path
from typing import Any

import pytest

from support.log_reads import read_history, read_messages, read_payloads
from support.models import recording_model, request_messages
from support.runtimes import open_runtime, run_agent
from threadlog.engine import (
    Agent,
    Behavior,
    ClearPrompts,
    Context,
    Prompts,
    PromptSegment,
    PutPrompt,
    Reminder,
    RemovePrompt,
    RemovePrompts,
    State,
    Suspend,
    Terminate,
    ToolCall,
    ToolResult,
)
from threadlog.reducers import Set, StateAction, replay

pytestmark = pytest.mark.anyio


class Puts(Behavior):
    """Asks for actions when the run starts."""

    def __init__(self, *wanted: StateAction) -> None:
        self._wanted = wanted

    def run_start(self, context: Context) -> list[State]:
        return [State(action) for action in self._wanted]


def put(key: str, content: str = "", **fields: Any) -> PutPrompt:
    return PutPrompt(segment=PromptSegment(key=key, content=content or f"about {key}", **fields))


def segments(path: Path) -> list[str]:
    """The contents of the segments in the thread's state."""
    return [item["content"] for item in replay(read_history(path)).state["__prompt_segments"]["items"]]


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = ToolCall("add", {"a": 1, "b": 2})

KEPT: list[tuple[list[StateAction], list[str]]] = [
    ([put("a"), put("b")], ["about a", "about b"]),
    ([put("a"), put("b"), put("a", "new")], ["new", "about b"]),
    ([put("a"), put("b"), RemovePrompt(key="a")], ["about b"]),
    ([put("a"), RemovePrompt(key="b")], ["about a"]),
    ([put("a/1"), put("b"), put("a/2"), RemovePrompts(prefix="a/")], ["about b"]),
    ([put("a"), put("b"), ClearPrompts()], []),
]


@pytest.mark.parametrize(("wanted", "kept"), KEPT)
async def test_the_state_keeps_one_segment_of_each_key_in_order(
    path: Path, wanted: list[StateAction], kept: list[str]
) -> None:
    await run_agent(path, Agent("planner", recording_model("done")[0], behaviors=[Puts(*wanted), Prompts()]))

    assert segments(path) == kept


async def test_a_segment_is_shown_where_its_target_says_in_every_request(path: Path) -> None:
    model, requests = recording_model(ADD, "done")
    wanted = [
        put("end", target="suffix_system"),
        put("begin"),
        put("user", target="conversation", role="user"),
    ]

    await run_agent(path, Agent("planner", model, "base", [add], [Puts(*wanted), Prompts()]))

    begin = [("system", "base"), ("system", "about begin"), ("user", "about user"), ("user", "go")]
    assert request_messages(requests[0]) == [*begin, ("system", "about end")]
    assert request_messages(requests[1])[:4] == begin
    assert request_messages(requests[1])[-1] == ("system", "about end")


async def test_a_segment_is_not_shown_again_while_it_cools_down_unless_it_has_changed(path: Path) -> None:
    async def change() -> ToolResult:
        """Change the segment."""
        return ToolResult(actions=[put("a", "new", cooldown=2)])

    model, requests = recording_model(ADD, ADD, ADD, ToolCall("change"), "done")
    behaviors = [Puts(put("a", cooldown=2)), Prompts()]
    await run_agent(path, Agent("planner", model, tools=[add, change], behaviors=behaviors))

    texts = [
        [content for role, content in request_messages(request) if role == "system"] for request in requests
    ]
    assert texts == [["about a"], [], [], ["about a"], ["new"]]


async def test_a_segment_of_an_earlier_run_is_shown_on_the_thread_still(path: Path) -> None:
    model, requests = recording_model("done", "done")
    agent = Agent("planner", model, behaviors=[Prompts()])
    first = Agent("first", model, behaviors=[Puts(put("a")), Prompts()])
    async with open_runtime(path, first, agent) as runtime:
        await (await runtime.start("first", "go", thread="t1")).result()
        await (await runtime.start("planner", "go on", thread="t1")).result()

    assert [request_messages(request)[0] for request in requests] == [("system", "about a")] * 2


async def test_a_segment_for_once_is_removed_when_it_was_shown(path: Path) -> None:
    model, requests = recording_model(ADD, "done")
    behaviors = [Puts(put("once", once=True), put("stays")), Prompts()]

    await run_agent(path, Agent("planner", model, tools=[add], behaviors=behaviors))

    assert [content for role, content in request_messages(requests[0]) if role == "system"] == [
        "about once",
        "about stays",
    ]
    assert [content for role, content in request_messages(requests[1]) if role == "system"] == ["about stays"]
    assert (read_payloads(path, "RemovePrompt"), segments(path)) == ([{"key": "once"}], ["about stays"])


async def test_what_is_not_shown_because_the_run_ends_before_is_not_removed(path: Path) -> None:
    """Other systems remove it before they look whether there is going to be a request"""

    class Ends(Behavior):
        def before_inference(self, context: Context) -> Terminate:
            return Terminate()

    behaviors = [Puts(put("once", once=True)), Prompts(), Ends()]

    result = await run_agent(path, Agent("planner", recording_model()[0], behaviors=behaviors))

    assert result.termination.type == "behavior_requested"
    assert segments(path) == ["about once"]


async def test_the_segments_are_changed_by_their_actions_only(path: Path) -> None:
    behaviors = [Puts(Set("/__prompt_segments", {})), Prompts()]

    result = await run_agent(path, Agent("planner", recording_model()[0], behaviors=behaviors))

    assert result.termination.type == "error"
    assert "is kept by threadlog itself" in (result.termination.detail or "")


async def test_a_reminder_stands_at_the_end_of_a_request_and_is_not_in_the_conversation(path: Path) -> None:
    model, requests = recording_model(ADD, ADD, "done")

    await run_agent(path, Agent("planner", model, tools=[add], behaviors=[Reminder("be brief", cooldown=1)]))

    reminder = ("system", "<system-reminder>be brief</system-reminder>")
    assert [request_messages(request)[-1] == reminder for request in requests] == [True, False, True]
    assert [message.role for message in read_messages(path)][-2:] == ["tool", "assistant"]


async def test_a_reminder_behind_a_tool_is_in_the_conversation(path: Path) -> None:
    async def fail() -> None:
        """Fail."""
        raise ValueError("no luck")

    reminder = Reminder("check it", after_tools=["a*"])
    model, _ = recording_model([ADD, ToolCall("fail")], "done")

    await run_agent(path, Agent("planner", model, tools=[add, fail], behaviors=[reminder]))

    said = [(m.role, m.visibility) for m in read_messages(path) if m.content.startswith("<system-reminder>")]
    behind = [m.role for m in read_messages(path)]
    assert said == [("system", "internal")]
    assert sorted(behind[2:5]) == ["system", "tool", "tool"]


async def test_a_reminder_may_look_at_what_goes_on_and_say_nothing(path: Path) -> None:
    def late(context: Context) -> str | None:
        return f"step {context.step}" if context.step else None

    model, requests = recording_model(ADD, "done")

    await run_agent(path, Agent("planner", model, tools=[add], behaviors=[Reminder(late)]))

    assert [("step 1" in request_messages(request)[-1][1]) for request in requests] == [False, True]


async def test_two_reminders_have_names_of_their_own(path: Path) -> None:
    model, requests = recording_model("done")
    behaviors = [Reminder("first", name="one"), Reminder("second", name="two")]

    await run_agent(path, Agent("planner", model, behaviors=behaviors))

    assert [content for role, content in request_messages(requests[0]) if role == "system"] == [
        "<system-reminder>first</system-reminder>",
        "<system-reminder>second</system-reminder>",
    ]


async def test_nothing_is_said_behind_a_call_that_waits(path: Path) -> None:
    class Asks(Behavior):
        def before_tool_execute(self, context: Context) -> Suspend:
            return Suspend("approve")

    behaviors = [Asks(), Reminder("check it", after_tools=["*"])]

    result = await run_agent(
        path, Agent("planner", recording_model(ADD)[0], tools=[add], behaviors=behaviors)
    )

    assert result.status == "waiting"
    assert [message.role for message in read_messages(path)] == ["user", "assistant"]
