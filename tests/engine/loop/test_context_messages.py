"""Messages that the model is shown in a request and that are not part of the conversation."""

from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior
from support.log_reads import read_history
from support.models import recorded_turn, request_messages
from support.runtimes import open_runtime, run_agent
from support.tools import erase
from threadlog.engine import AddContextMessage, Context, Decision, ModelRequest, ToolCall
from threadlog.engine.agents.behavior import PhaseActions
from threadlog.engine.loop.request import Throttle, latest_context, place_messages
from threadlog.reducers import replay
from threadlog.store import Message

pytestmark = pytest.mark.anyio


def shown(key: str, content: str = "", **fields: Any) -> AddContextMessage:
    return AddContextMessage(key, content or key, **fields)


def texts(messages: list[Message]) -> list[str]:
    return [message.content for message in messages]


def test_each_message_stands_where_its_target_says() -> None:
    conversation = [
        Message(id="1", role="system", content="early"),
        Message(id="2", role="user", content="hello"),
        Message(id="3", role="system", content="late"),
    ]
    context = [
        shown("end", target="suffix_system"),
        shown("talk", target="conversation"),
        shown("session", target="session"),
        shown("system"),
    ]

    order = texts(place_messages("base", conversation, context))

    assert order == ["base", "system", "early", "session", "talk", "hello", "late", "end"]


def test_without_instructions_the_first_is_the_systems() -> None:
    conversation = [Message(id="1", role="user", content="hello")]

    assert texts(place_messages("", conversation, [shown("system")])) == ["system", "hello"]


def test_the_last_of_a_key_stands_at_its_own_place() -> None:
    context = [shown("a", "1"), shown("b", "2"), shown("a", "3")]

    assert [message.content for message in latest_context(context)] == ["2", "3"]


def test_conversation_messages_of_one_key_all_stand() -> None:
    context = [shown("a", "1", target="conversation"), shown("a", "2", target="conversation")]

    assert [message.content for message in latest_context(context)] == ["1", "2"]


SHOWN: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2, 3, 4, 5, 6]),
    ({"cooldown": 1}, [0, 2, 4, 6]),
    ({"cooldown": 2}, [0, 3, 6]),
    ({"cooldown": 9}, [0]),
    ({"cooldown": 9, "target": "conversation"}, [0, 1, 2, 3, 4, 5, 6]),
]


@pytest.mark.parametrize(("fields", "steps"), SHOWN)
def test_an_unchanged_message_rests_for_its_cooldown(fields: dict[str, Any], steps: list[int]) -> None:
    throttle = Throttle()

    assert [step for step in range(7) if throttle.admits(shown("a", **fields), step)] == steps


def test_a_changed_message_is_shown_at_once_and_rests_from_then_on() -> None:
    throttle = Throttle()
    messages = [shown("a", text, cooldown=2) for text in ("1", "1", "2", "2", "2", "2")]

    assert [throttle.admits(message, step) for step, message in enumerate(messages)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]


async def test_what_is_shown_is_in_the_request_and_not_in_the_conversation(path: Path) -> None:
    requests: list[ModelRequest] = []

    def show(context: Context) -> PhaseActions:
        return shown("note", "be kind", cooldown=1) if context.phase == "before_inference" else None

    call = ToolCall("add", {"a": 1, "b": 2})
    turns = [recorded_turn(requests, turn) for turn in (call, call, "done")]
    await run_agent(path, scripted_agent(*turns, behaviors=[PhaseBehavior(show)], instructions="base"))

    assert [("system", "be kind") in request_messages(request) for request in requests] == [True, False, True]
    assert request_messages(requests[0]) == [("system", "base"), ("system", "be kind"), ("user", "go")]
    assert "be kind" not in texts(list(replay(read_history(path)).messages))


async def test_a_run_that_has_waited_shows_it_again(path: Path) -> None:
    """what was shown is not kept: another process may go on, and what it asks must follow from the log"""
    requests: list[ModelRequest] = []

    def show(context: Context) -> PhaseActions:
        return shown("note", "be kind", cooldown=9) if context.phase == "before_inference" else None

    turns = [recorded_turn(requests, turn) for turn in (ToolCall("erase", id="c1"), "done")]
    planner = scripted_agent(*turns, tools=[erase], behaviors=[PhaseBehavior(show)])
    first = await run_agent(path, planner)
    async with open_runtime(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [Decision.approve("c1")])
        assert resumed
        await resumed.result()

    assert [("system", "be kind") in request_messages(request) for request in requests] == [True, True]


async def test_the_next_run_shows_it_again(path: Path) -> None:
    requests: list[ModelRequest] = []

    def show(context: Context) -> PhaseActions:
        return shown("note", "be kind", cooldown=9) if context.phase == "before_inference" else None

    planner = scripted_agent(*[recorded_turn(requests, "done")] * 2, behaviors=[PhaseBehavior(show)])
    for _ in range(2):
        await run_agent(path, planner)

    assert [("system", "be kind") in request_messages(request) for request in requests] == [True, True]
