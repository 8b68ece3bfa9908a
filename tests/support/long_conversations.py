"""Conversations that exceed the size of a request, and tools with long results."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from threadlog.engine import ToolCall
from threadlog.store import Message

LONG_TEXT = "word " * 80
"""About a hundred tokens."""


async def read(path: str) -> str:
    """Read a file."""
    return f"{path}: {LONG_TEXT}"


async def dump() -> str:
    """Return a lot of text."""
    return LONG_TEXT * 30


def read_calls(*paths: str) -> list[ToolCall]:
    """Return a call of `read` for each path."""
    return [ToolCall("read", {"path": path}) for path in paths]


CALL_IDS = st.sampled_from(["c1", "c2", "c3"])


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], set[str]]:
    """Draw the messages of a thread and the ids of its suspended calls.

    Ids are used more than once. Calls are answered in any order, late or never.
    """
    made: list[Message] = []
    open_calls: dict[str, bool] = {}

    def say(role: Any, **fields: Any) -> None:
        made.append(Message(id=f"m{len(made)}", role=role, **fields))

    for kind in draw(st.lists(st.sampled_from(["user", "assistant", "round", "late"]), max_size=8)):
        if kind == "round":
            ids = [id for id in draw(st.lists(CALL_IDS, min_size=1, unique=True)) if not open_calls.get(id)]
            say("assistant", tool_calls=tuple(ToolCall("read", {}, id) for id in ids))
            for id in draw(st.permutations(ids)):
                outcome = draw(st.sampled_from(["answered", "answered", "waits", "lost"]))
                open_calls[id] = outcome == "waits"
                if outcome == "answered":
                    say("tool", tool_call_id=id, content="text")
                    if draw(st.booleans()):
                        say("system", content="a reminder")
        elif kind == "late":
            for id in sorted(id for id, waits in open_calls.items() if waits):
                open_calls[id] = False
                say("tool", tool_call_id=id, content="late")
        else:
            say(kind, content="text")
    return made, {id for id, waits in open_calls.items() if waits}


def has_paired_answers(messages: Sequence[Message]) -> bool:
    """Whether the answers to each message's calls follow it directly, and there are no other answers."""
    place = 0
    while place < len(messages):
        asked = [call.id for call in messages[place].tool_calls]
        answers = [message.tool_call_id for message in messages[place + 1 : place + 1 + len(asked)]]
        if messages[place].role == "tool" or answers != asked:
            return False
        place += 1 + len(asked)
    return True
