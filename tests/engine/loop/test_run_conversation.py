"""What a run reads from the conversation of its thread and adds to it."""

from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.log_reads import read_history
from support.runtimes import open_runtime, run_agent
from support.tools import ADD_AND_FAIL
from threadlog.engine import ModelRequest, ToolCall, Turn
from threadlog.reducers import replay
from threadlog.store import Message

pytestmark = pytest.mark.anyio


async def test_the_conversation_of_a_run(path: Path) -> None:
    result = await run_agent(
        path, scripted_agent(Turn(text="I add", tool_calls=ADD_AND_FAIL), "hello"), "go on"
    )

    said = [
        (message.role, message.content, message.step, message.tool_call_id)
        for message in replay(read_history(path)).messages
    ]
    assert said == [
        ("user", "go on", None, None),
        ("assistant", "I add", 0, None),
        ("tool", "3", 0, "c1"),
        ("tool", '{"error":"Execution failed: no luck"}', 0, "c2"),
        ("assistant", "hello", 1, None),
    ]
    assert {message.run_id for message in replay(read_history(path)).messages} == {result.run_id}
    assert replay(read_history(path)).messages[1].tool_calls == tuple(ADD_AND_FAIL)


async def test_a_text_from_a_tool_is_told_to_the_model_as_it_is(path: Path) -> None:
    def speak() -> str:
        return 'a "text"'

    await run_agent(path, scripted_agent(ToolCall("speak"), tools=[speak]))

    assert replay(read_history(path)).messages[2].content == 'a "text"'


async def test_calls_without_an_id_or_with_one_that_is_taken_get_their_own(path: Path) -> None:
    add: dict[str, Any] = {"a": 1, "b": 1}
    calls = [
        ToolCall("add", add),
        ToolCall("add", add, "c1"),
        ToolCall("add", add, "c1"),
        ToolCall("add", add),
    ]

    result = await run_agent(path, scripted_agent(calls, "hello"))

    asked = replay(read_history(path)).messages[1]
    assert [call.id for call in asked.tool_calls] == [f"{asked.id}:0", "c1", f"{asked.id}:2", f"{asked.id}:3"]
    assert result.termination.type == "natural_end"


async def test_the_next_run_continues_the_conversation(path: Path) -> None:
    seen: list[list[tuple[str, str]]] = []

    def answer(request: ModelRequest) -> str:
        seen.append([(message.role, message.content) for message in request.messages])
        return f"answer {len(seen)}"

    planner = scripted_agent(answer, answer, instructions="Be kind.")
    await run_agent(path, planner, "one")
    await run_agent(path, planner, "two")

    system = ("system", "Be kind.")
    assert seen == [
        [system, ("user", "one")],
        [system, ("user", "one"), ("assistant", "answer 1"), ("user", "two")],
    ]
    assert [changeset.version for changeset in read_history(path)] == [1, 2, 3, 4, 5, 6]


async def test_the_instructions_are_not_in_the_conversation(path: Path) -> None:
    await run_agent(path, scripted_agent("hello", instructions="Be kind."))

    assert [message.role for message in replay(read_history(path)).messages] == ["user", "assistant"]


async def test_the_model_is_offered_the_tools(path: Path) -> None:
    offered: list[str] = []

    def look(request: ModelRequest) -> str:
        offered.extend(spec.name for spec in request.tools)
        return "done"

    await run_agent(path, scripted_agent(look))

    assert offered == ["add", "fail", "spend"]


async def test_a_run_may_start_with_messages_and_a_repeated_one_is_skipped(path: Path) -> None:
    asked: list[list[str]] = []

    def answer(request: ModelRequest) -> str:
        asked.append([message.content for message in request.messages])
        return "hello"

    planner = scripted_agent(answer, answer)
    first = Message(id="m1", role="user", content="one")
    again = [Message(id="m1", role="user", content="again"), Message(id="m2", role="user", content="two")]
    async with open_runtime(path, planner) as runtime:
        for messages in ([first, first], again):
            await (await runtime.start("planner", messages, thread="t1")).result()
        told = [message.content for message in runtime.messages("t1")]

    assert asked == [["one"], ["one", "hello", "two"]]
    assert told == ["one", "hello", "two", "hello"]
