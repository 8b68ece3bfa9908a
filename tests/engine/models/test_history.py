"""The model's request is made from the conversation: what the log has is never changed for it."""

from typing import Any

import pytest

from threadlog.engine.models.history import INTERRUPTED, LATER, approval_notice, repair_history
from threadlog.store import Message
from threadlog.store.changeset import ToolCall

Said = tuple[str, str]


def user(text: str, visibility: Any = "all") -> Message:
    return Message(id=text, role="user", content=text, visibility=visibility)


def turn(text: str, *ids: str) -> Message:
    calls = tuple(ToolCall("add", {}, id) for id in ids)
    return Message(id=text, role="assistant", content=text, tool_calls=calls)


def result(call_id: str, text: str) -> Message:
    return Message(id=f"{call_id}={text}", role="tool", content=text, tool_call_id=call_id)


LATE = "The tool call add (a) has been answered: 3"
REPAIRS: dict[str, tuple[list[Message], list[str], list[Said]]] = {
    "nothing to repair": (
        [user("go"), turn("t", "a"), result("a", "3"), turn("done")],
        [],
        [("user", "go"), ("assistant", "t"), ("tool", "3"), ("assistant", "done")],
    ),
    "results in the order of the calls": (
        [turn("t", "a", "b"), result("b", "2"), result("a", "1")],
        [],
        [("assistant", "t"), ("tool", "1"), ("tool", "2")],
    ),
    "a result of no call": (
        [user("go"), result("fc_1", "granted"), turn("t")],
        [],
        [("user", "go"), ("assistant", "t")],
    ),
    "a call without a result": (
        [turn("t", "a", "b"), result("a", "1"), user("go on")],
        [],
        [("assistant", "t"), ("tool", "1"), ("tool", INTERRUPTED), ("user", "go on")],
    ),
    "every call without a result": (
        [turn("t", "a"), user("x"), turn("u", "b"), user("y")],
        [],
        [
            ("assistant", "t"),
            ("tool", INTERRUPTED),
            ("user", "x"),
            ("assistant", "u"),
            ("tool", INTERRUPTED),
            ("user", "y"),
        ],
    ),
    "a call that waits": (
        [turn("t", "a", "b"), result("b", "2")],
        ["a"],
        [("assistant", "t"), ("tool", approval_notice("add")), ("tool", "2")],
    ),
    "a result that came later": (
        [turn("t", "a"), turn("waiting"), result("a", "3")],
        [],
        [("assistant", "t"), ("tool", LATER), ("assistant", "waiting"), ("user", LATE)],
    ),
    "a result that came behind what a person said": (
        [turn("t", "a"), user("and?"), result("a", "3")],
        [],
        [("assistant", "t"), ("tool", LATER), ("user", "and?"), ("user", LATE)],
    ),
    "an id that is used again": (
        [turn("t", "a"), user("again"), turn("u", "a"), result("a", "3")],
        [],
        [("assistant", "t"), ("tool", INTERRUPTED), ("user", "again"), ("assistant", "u"), ("tool", "3")],
    ),
    "an internal note among the results": (
        [turn("t", "a", "b"), result("a", "1"), user("note", "internal"), result("b", "2")],
        [],
        [("assistant", "t"), ("tool", "1"), ("tool", "2"), ("user", "note")],
    ),
    "a text that only sounds like a placeholder": (
        [turn("t", "a"), result("a", f"He said: {approval_notice('add')}")],
        [],
        [("assistant", "t"), ("tool", f"He said: {approval_notice('add')}")],
    ),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_every_call_is_answered_right_behind_it_and_nothing_else_is(name: str) -> None:
    """Nothing is put into the conversation for a call that waits, so no text has to be recognised and
    taken away again when the result is there: what stands for it is in requests only."""
    messages, waiting, expected = REPAIRS[name]
    before = list(messages)

    made = repair_history(messages, waiting)

    assert [(message.role, message.content) for message in made] == expected
    assert messages == before


def test_a_late_result_is_told_with_the_name_of_the_call_it_is_for() -> None:
    """also if its id comes again, for another tool"""
    other = Message(id="u", role="assistant", tool_calls=(ToolCall("erase", {}, "a"),))
    messages = [turn("t", "a"), user("x"), result("a", "3"), other, result("a", "gone")]

    assert LATE in [message.content for message in repair_history(messages)]
