"""Conversion between the messages of threadlog and those of pydantic-ai, which exist for one request only."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby

from pydantic import ValidationError
from pydantic_ai import messages as ai

from ...store.changeset import Message, ToolCall, Usage
from ...store.document import dumps, parse
from ...store.errors import ContentError
from .model import FinishPart, ModelError, Part, TextPart, ToolCallDelta, ToolCallPart

PACKAGE = f"pydantic-ai {version('pydantic-ai-slim')}"
"""Marks a stored response. If a later version cannot read it, the text and the calls are sent instead."""


def provider_messages(messages: Sequence[Message], provider: str) -> list[ai.ModelMessage]:
    """Convert a conversation. Answers of the same provider are sent back exactly as they came."""
    sent: list[ai.ModelMessage] = []
    names: dict[str, str] = {}
    for answers, group in groupby(messages, lambda message: message.role == "assistant"):
        said = list(group)
        names |= {call.id: call.name for message in said for call in message.tool_calls}
        if answers:
            sent += [response for message in said if (response := _response(message, provider)).parts]
        else:
            sent.append(ai.ModelRequest(parts=[_part(message, names) for message in said]))
    return sent


def stream_part(event: object, calls: dict[int, str]) -> Part | None:
    """Convert an event of the stream, if it is text or a call. `calls` keeps the names of open calls."""
    match event:
        case (
            ai.PartStartEvent(part=ai.TextPart(content=text))
            | ai.PartDeltaEvent(delta=ai.TextPartDelta(content_delta=text))
        ) if text:
            return TextPart(text)
        case ai.PartStartEvent(index=index, part=ai.ToolCallPart(tool_name=name, args=args)):
            calls[index] = name
            return ToolCallDelta(name, _as_text(args))
        case ai.PartDeltaEvent(index=index, delta=ai.ToolCallPartDelta(args_delta=args)) if index in calls:
            return ToolCallDelta(calls[index], _as_text(args))
    return None


def final_parts(response: ai.ModelResponse, provider: str) -> Iterator[Part]:
    """Yield the complete calls and the finish.

    Raises:
        ModelError: the stream ended without a finish reason.
    """
    asked = [part for part in response.parts if isinstance(part, ai.ToolCallPart)]
    calls = [_call(part) for part in asked]
    if asked and not asked[-1].args and response.finish_reason == "length":
        # The call was cut off before its arguments. An empty text is refused, and the model reads why.
        calls[-1] = calls[-1].model_copy(update={"arguments": ""})
    # Reasons that pydantic-ai does not know are only in the details.
    if not response.finish_reason and not (response.provider_details or {}).get("finish_reason"):
        raise ModelError("connection", "the stream ended before the answer did")
    yield from map(ToolCallPart, calls)
    yield FinishPart(
        finish_reason=_reason(response.finish_reason, called=bool(calls)),
        usage=Usage(
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            cache_read_tokens=response.usage.cache_read_tokens,
            cache_write_tokens=response.usage.cache_write_tokens,
        ),
        provider=_serialize(response, provider),
    )


def _reason(reason: ai.FinishReason | None, *, called: bool) -> str:
    if reason in ("length", "content_filter", "error"):
        return reason
    # Some providers say `stop` even if they call a tool.
    return "tool_calls" if called or reason == "tool_call" else "stop"


def _call(part: ai.ToolCallPart) -> ToolCall:
    arguments = part.args or {}
    if isinstance(arguments, str):
        try:
            arguments = parse(arguments)
        except ContentError:
            return ToolCall(part.tool_name, part.args, part.tool_call_id)
    return ToolCall(part.tool_name, arguments, part.tool_call_id)


def _as_text(arguments: object) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else dumps(arguments).decode()


def _part(message: Message, names: dict[str, str]) -> ai.ModelRequestPart:
    if message.role == "system":
        return ai.SystemPromptPart(message.content)
    if message.role == "user":
        return ai.UserPromptPart(message.content)
    id = message.tool_call_id or ""
    return ai.ToolReturnPart(names.get(id, ""), message.content, id)


def _response(message: Message, provider: str) -> ai.ModelResponse:
    if (response := _deserialize(message.provider, provider)) and _agrees(response, message):
        return response
    parts: list[ai.ModelResponsePart] = [ai.TextPart(message.content)] if message.content else []
    for call in message.tool_calls:
        arguments = call.arguments if isinstance(call.arguments, dict) else _as_text(call.arguments)
        parts.append(ai.ToolCallPart(call.name, arguments, call.id))
    return ai.ModelResponse(parts)


def _serialize(response: ai.ModelResponse, provider: str) -> str:
    marked = replace(response, metadata={"package": PACKAGE, "provider": provider})
    return ai.ModelMessagesTypeAdapter.dump_json([marked]).decode()


def _deserialize(stored: str | None, provider: str) -> ai.ModelResponse | None:
    try:
        messages = ai.ModelMessagesTypeAdapter.validate_json(stored or "[]")
    except ValidationError:
        return None
    match messages:
        case [ai.ModelResponse(metadata={"provider": name}) as response] if name == provider:
            return response
    return None


def _agrees(response: ai.ModelResponse, message: Message) -> bool:
    """Return whether the message still equals the response. If it was edited, the edit must be sent."""
    text = "".join(part.content for part in response.parts if isinstance(part, ai.TextPart))
    calls = [part.tool_call_id for part in response.parts if isinstance(part, ai.ToolCallPart)]
    return text == message.content and calls == [call.id for call in message.tool_calls]
