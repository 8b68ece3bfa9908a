"""Reads the messages of A2A clients, and creates the parts of answers. Pure.

A message that starts a task becomes the prompt: its text, and its data as JSON text. In a later message, text
steers the agent, and data answers its questions:

    {"decisions": [{"target": ticket, "approved": true, …}]}

A single question is also answered by the text "yes" or "no".
"""

import json
from collections.abc import Sequence

from a2a.helpers import get_data_parts, new_data_part
from a2a.types import ContentTypeNotSupportedError, InvalidParamsError, Message, Part
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, ValidationError

from ....reducers.tool_call import SuspendToolCall
from ....store.document import depth, dumps
from ...agents import summarize_errors
from ...control import Decision
from ...remote import restore_integers

CLIENT = "a2a"
"""The author of a client's commands, and the prefix of their ids."""

MAX_DEPTH = 32
"""Levels of nesting that protobuf libraries can read. Deeper values are sent as JSON text."""

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
    """Return the id in the log of a client's message.

    `place` is the agent that the message starts, or the number of a decision in it.
    """
    return f"{CLIENT}/{place}/{message_id}"


def message_id(entry_id: str) -> str | None:
    """Return the id that a client gave its message, from the id in the log; None for other ids."""
    owner, _, rest = entry_id.partition("/")
    return rest.partition("/")[2] if owner == CLIENT else None


def text_part(text: str) -> Part:
    return Part(text=text, media_type="text/plain")


def data_part(value: JsonValue) -> Part:
    """Return a JSON value as a part. Integers beyond 2^53 lose digits: protobuf has only doubles."""
    if depth(value) > MAX_DEPTH:
        return Part(text=dumps(value).decode(), media_type="application/json")
    return new_data_part(value, media_type="application/json")


def question_parts(asked: Sequence[SuspendToolCall]) -> list[Part]:
    """Return open questions, as text for people and as data for programs."""
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
    return [text_part("\n".join(map(_question_text, asked))), data_part({"pending": data})]


def _question_text(asked: SuspendToolCall) -> str:
    message = asked.suspension.message or f"Call {asked.name}?"
    return f"{message} {json.dumps(asked.arguments, ensure_ascii=False)} (ticket {asked.suspension.ticket})"


def text_of(message: Message) -> str:
    """Return a message as text, with each part on its own lines.

    Raises:
        ContentTypeNotSupportedError: a part is a file or a URL of one.
        InvalidParamsError: the message is empty.
    """
    text = "\n".join(map(_text, message.parts))
    if not text.strip():
        raise InvalidParamsError("the message is empty: send a text part")
    return text


def _text(part: Part) -> str:
    match part.WhichOneof("content"):
        case "text":
            return part.text
        case "data":
            return dumps(_json(part)).decode()
        case other:
            raise ContentTypeNotSupportedError(f"unsupported part {other!r}: send text or data")


def _json(part: Part) -> JsonValue:
    return restore_integers(get_data_parts([part])[0])


def decisions_in(message: Message, asked: Sequence[SuspendToolCall]) -> list[Decision] | None:
    """Return the decisions in a message about open questions; None if it has none.

    Raises:
        InvalidParamsError: its data has the wrong form, or it has other parts besides the data.
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
        raise InvalidParamsError(
            "a message with decisions has one data part and no others: send text in another message"
        )
    try:
        given = _Answers.model_validate(_json(message.parts[0])).decisions
    except ValidationError as err:
        form = '{"decisions": [{"target": ticket, "approved": true or false, "result", "reason"}]}'
        raise InvalidParamsError(
            f"the data holds no decisions ({summarize_errors(err)}): send {form}"
        ) from err
    return [
        Decision(
            each.target, each.approved, each.result, each.reason, CLIENT, entry_id(message.message_id, number)
        )
        for number, each in enumerate(given)
    ]
