"""The conversation in the form that providers accept. The log stays as it is; the request is repaired. Pure.

Every tool call gets an answer directly after the turn that made it: its result, or a text that says why there
is none (a person has yet to decide, the result came later, a crash interrupted the call). A late result stays
where it arrived, as a note to the model, because providers refuse a tool message there.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import takewhile

from ...store.changeset import Message, ToolCall
from ...store.document import dumps
from .model import ModelRequest

INTERRUPTED = "[Tool execution was interrupted before producing a result.]"
LATER = "[The result of this call came later: it is further below.]"


def approval_notice(name: str) -> str:
    """Return what the model reads about a call that waits for a person's decision."""
    return f"Tool '{name}' is awaiting approval. Execution paused."


def repair_history(messages: Sequence[Message], suspended: Iterable[str] = ()) -> list[Message]:
    """Return the conversation as providers accept it. `suspended` are the calls that wait for a person."""
    waiting, late = frozenset(suspended), dict(_late_results(messages))
    answered_later = {(turn, messages[place].tool_call_id) for place, turn in late.items()}
    history: list[Message] = []
    for place, message in enumerate(messages):
        if place in late:
            history.append(_note(message, messages[late[place]]))
        if message.role == "tool":
            continue
        history.append(message)
        results = {m.tool_call_id: m for m in _round_results(messages, place)} if message.tool_calls else {}
        for call in message.tool_calls:
            absent = LATER if (place, call.id) in answered_later else INTERRUPTED
            text = approval_notice(call.name) if call.id in waiting and absent is INTERRUPTED else absent
            history.append(results.get(call.id) or _placeholder(message, call, text))
    return history


def _late_results(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Yield the place of each tool message outside of its call's round, and the place of the call's turn."""
    for place, message in enumerate(messages):
        if message.role != "tool":
            continue
        turn = next(
            (n for n in reversed(range(place)) if _makes_call(messages[n], message.tool_call_id)), None
        )
        if turn is not None and any(map(ends_round, messages[turn + 1 : place])):
            yield place, turn


def _makes_call(turn: Message, call_id: str | None) -> bool:
    return any(call.id == call_id for call in turn.tool_calls)


def _round_results(messages: Sequence[Message], place: int) -> list[Message]:
    """Return the tool messages in the round of the turn at this place."""
    round = takewhile(lambda message: not ends_round(message), messages[place + 1 :])
    return [message for message in round if message.role == "tool"]


def ends_round(message: Message) -> bool:
    """Return whether the message ends the round before it."""
    # Messages of tools and behaviors are internal. They stand between results, as calls end in any order.
    return message.role == "assistant" or (message.role == "user" and message.visibility == "all")


def _placeholder(message: Message, call: ToolCall, text: str) -> Message:
    return Message(id=f"{message.id}/{call.id}", role="tool", content=text, tool_call_id=call.id)


def _note(message: Message, turn: Message) -> Message:
    call = next(call for call in turn.tool_calls if call.id == message.tool_call_id)
    text = f"The tool call {call.name} ({call.id}) has been answered: {message.content}"
    return message.model_copy(update={"role": "user", "content": text, "tool_call_id": None})


def digest(request: ModelRequest) -> str:
    """Return the SHA-256 of the request's canonical JSON. Equal requests have equal digests."""
    messages = [message.model_dump(exclude_defaults=True) for message in request.messages]
    tools = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
    return sha256(dumps([messages, tools, dict(request.settings)], record=True)).hexdigest()
