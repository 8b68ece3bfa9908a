"""Conversations that are too long for one request, and tools whose results are long."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from threadlog.engine import ToolCall
from threadlog.store import Message

LONG = "word " * 80
"""A hundred tokens."""


async def read(path: str) -> str:
    """Read a file."""
    return f"{path}: {LONG}"


async def dump() -> str:
    """Give a lot."""
    return LONG * 30


def reading(*paths: str) -> list[ToolCall]:
    return [ToolCall("read", {"path": path}) for path in paths]


CALL_IDS = st.sampled_from(["c1", "c2", "c3"])


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], set[str]]:
    """Messages as runs leave them, and the calls that wait: ids come again, answers in any order or never."""
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


def answered(messages: Sequence[Message]) -> bool:
    """Whether right behind each message are the answers to its calls, and no other answer is anywhere."""
    place = 0
    while place < len(messages):
        asked = [call.id for call in messages[place].tool_calls]
        behind = [message.tool_call_id for message in messages[place + 1 : place + 1 + len(asked)]]
        if messages[place].role == "tool" or behind != asked:
            return False
        place += 1 + len(asked)
    return True
