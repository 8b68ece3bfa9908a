"""The conversation in the form that providers accept. The log is never repaired; the request is. Pure.

Every tool call is answered right after the turn that made it: by its result, or by a text that says why there
is none (a person has yet to decide, the result came later, a crash interrupted it). A late result stays where
it arrived, as a note to the model, because providers refuse a tool message elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import takewhile
from typing import Any

from ...store.changeset import Message, ToolCall
from ...store.document import dumps
from .model import ModelRequest, ToolSpec

INTERRUPTED = "[Tool execution was interrupted before producing a result.]"


LATER = "[The result of this call came later: it is further below.]"


def awaiting(name: str) -> str:
    """What the model is told of a call that a person has yet to decide."""
    return f"Tool '{name}' is awaiting approval. Execution paused."


def repaired(messages: Sequence[Message], suspended: Iterable[str] = ()) -> list[Message]:
    """The conversation as a provider accepts it. `suspended` are the calls that wait for a person."""
    waiting, late = frozenset(suspended), dict(_late(messages))
    came = {(turn, messages[place].tool_call_id) for place, turn in late.items()}
    made: list[Message] = []
    for place, message in enumerate(messages):
        if place in late:
            made.append(_note(message, messages[late[place]]))
        if message.role == "tool":
            continue
        made.append(message)
        behind = {m.tool_call_id: m for m in _block(messages, place)} if message.tool_calls else {}
        for call in message.tool_calls:
            absent = LATER if (place, call.id) in came else INTERRUPTED
            text = awaiting(call.name) if call.id in waiting and absent is INTERRUPTED else absent
            made.append(behind.get(call.id) or _unanswered(message, call, text))
    return made


def _late(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Each tool message that is not behind its call, and the turn that made the call. Places."""
    for place, message in enumerate(messages):
        if message.role != "tool":
            continue
        turn = next((n for n in reversed(range(place)) if _made(messages[n], message)), None)
        if turn is not None and any(map(ends_round, messages[turn + 1 : place])):
            yield place, turn


def _made(turn: Message, answer: Message) -> bool:
    return any(call.id == answer.tool_call_id for call in turn.tool_calls)


def _block(messages: Sequence[Message], place: int) -> list[Message]:
    """The tool messages of the turn's own round."""
    behind = takewhile(lambda message: not ends_round(message), messages[place + 1 :])
    return [message for message in behind if message.role == "tool"]


def ends_round(message: Message) -> bool:
    """Whether it belongs to no round before it."""
    # What tools and behaviors add is internal and stands among the results: calls end in any order.
    return message.role == "assistant" or (message.role == "user" and message.visibility == "all")


def _unanswered(message: Message, call: ToolCall, text: str) -> Message:
    return Message(id=f"{message.id}/{call.id}", role="tool", content=text, tool_call_id=call.id)


def _note(message: Message, turn: Message) -> Message:
    call = next(call for call in turn.tool_calls if call.id == message.tool_call_id)
    text = f"The tool call {call.name} ({call.id}) has been answered: {message.content}"
    return message.model_copy(update={"role": "user", "content": text, "tool_call_id": None})


def digest(request: ModelRequest) -> str:
    """SHA-256 of the request's canonical JSON: two runs that asked the same have equal ones."""
    messages = [message.model_dump(exclude_defaults=True) for message in request.messages]
    tools = [_tool_json(tool) for tool in request.tools]
    settings: Mapping[str, Any] = request.settings
    return sha256(dumps([messages, tools, dict(settings)], record=True)).hexdigest()


def _tool_json(tool: ToolSpec) -> tuple[str, str, dict[str, Any]]:
    return tool.name, tool.description, tool.parameters
