"""What A2A clients say, and the parts of what they are told. Pure.

A message that starts a task is its text, with data as JSON text. In a message to a task, text is said to the
agent, and data is the answer to questions: `{"decisions": [{"target": ticket, "approved": true, …}]}`; where
there is one question, the text "yes" or "no" answers it, too.
"""

import json
from collections.abc import Sequence
from typing import Any

from a2a.helpers import get_data_parts, new_data_part
from a2a.types import ContentTypeNotSupportedError, InvalidParamsError, Message, Part
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, ValidationError

from ....reducers.tool_call import ToolCallSuspended
from ....store.document import depth, dumps
from ...agents import brief
from ...control import Decision

CLIENT = "a2a"
"""Who an answer is from, as the log has it; and how the ids of what clients have said begin."""

EXACT = 2**53
"""Up to here, every integer is a number of the protocol."""

DEEPEST = 32
"""Levels of nesting that the protocol's libraries read; what is deeper is told as JSON text."""

YES_OR_NO = {"yes": True, "no": False}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str
    approved: StrictBool
    result: JsonValue = None
    reason: str | None = None


class _Answers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    decisions: list[_Answer] = Field(min_length=1)


def entry_id(message_id: str, place: str | int = 0) -> str:
    """The id, in the log, of what a client's message says: to an agent, or as one of several decisions."""
    return f"{CLIENT}/{place}/{message_id}"


def message_id(entry_id: str) -> str | None:
    """The client's message behind such an id, if it is one."""
    owner, _, rest = entry_id.partition("/")
    return rest.partition("/")[2] if owner == CLIENT else None


def text_part(text: str) -> Part:
    return Part(text=text, media_type="text/plain")


def data_part(value: JsonValue) -> Part:
    """A JSON value. The protocol has one kind of number: integers beyond 2^53 lose their last digits."""
    if depth(value) > DEEPEST:
        return Part(text=dumps(value).decode(), media_type="application/json")
    return new_data_part(value, media_type="application/json")


def question(asked: Sequence[ToolCallSuspended]) -> list[Part]:
    """What a person is asked: in words, and for programs."""
    data: list[JsonValue] = [
        {
            "ticket": each.suspension.ticket,
            "call_id": each.call_id,
            "tool": each.name,
            "arguments": each.arguments,
            "message": each.suspension.message,
            "parameters": each.suspension.parameters,
            "response_schema": each.suspension.response_schema,
        }
        for each in asked
    ]
    return [text_part("\n".join(map(_in_words, asked))), data_part({"pending": data})]


def _in_words(asked: ToolCallSuspended) -> str:
    message = asked.suspension.message or f"Call {asked.name}?"
    return f"{message} {json.dumps(asked.arguments, ensure_ascii=False)} (ticket {asked.suspension.ticket})"


def text_of(message: Message) -> str:
    """What a message says to an agent: its parts, each on lines of its own.

    Raises:
        ContentTypeNotSupportedError: one of them is a file, or names one.
        InvalidParamsError: they are empty.
    """
    text = "\n".join(map(_text, message.parts))
    if not text.strip():
        raise InvalidParamsError("the message says nothing: give it a text part")
    return text


def _text(part: Part) -> str:
    match part.WhichOneof("content"):
        case "text":
            return part.text
        case "data":
            return dumps(_json(part)).decode()
        case other:
            raise ContentTypeNotSupportedError(f"a part is text or data here, not {other}")


def _json(part: Part) -> Any:
    return _whole(get_data_parts([part])[0])


def _whole(value: Any) -> Any:
    """A value with the integers that the protocol has made floats of."""
    match value:
        case float() if value.is_integer() and abs(value) <= EXACT:
            return int(value)
        case dict():
            return {key: _whole(inner) for key, inner in value.items()}
        case list():
            return [_whole(inner) for inner in value]
    return value


def answers_in(message: Message, asked: Sequence[ToolCallSuspended]) -> list[Decision] | None:
    """The decisions that a message is, on these questions; None if it is something else.

    Raises:
        InvalidParamsError: they are not of the right form, or something else is said with them.
    """
    if any(part.HasField("data") for part in message.parts):
        return _decisions(message)
    word = "\n".join(map(_text, message.parts)).strip().lower()
    if len(asked) == 1 and word in YES_OR_NO:
        ticket, id = asked[0].suspension.ticket, entry_id(message.message_id)
        return [Decision(ticket, YES_OR_NO[word], by=CLIENT, id=id)]
    return None


def _decisions(message: Message) -> list[Decision]:
    if len(message.parts) > 1:
        raise InvalidParamsError("decisions are said alone: send one data part, and text in another message")
    try:
        given = _Answers.model_validate(_json(message.parts[0])).decisions
    except ValidationError as err:
        form = '{"decisions": [{"target": ticket, "approved": true or false, "result", "reason"}]}'
        raise InvalidParamsError(f"the data is no answer ({brief(err)}): it is of the form {form}") from err
    return [
        Decision(
            each.target, each.approved, each.result, each.reason, CLIENT, entry_id(message.message_id, number)
        )
        for number, each in enumerate(given)
    ]
