"""Anthropic's format: messages."""

from collections.abc import Iterator
from typing import Any

from support.provider_server import Answer, Json, Refusal, Thought, Wire, event

ERRORS = {
    "rate_limit": (429, "rate_limit_error"),
    "overloaded": (529, "overloaded_error"),
    "server": (500, "api_error"),
    "auth": (401, "authentication_error"),
    "context_length": (400, "invalid_request_error"),
    "request": (400, "invalid_request_error"),
}


def refusal(refused: Refusal) -> tuple[int, Json]:
    status, kind = ERRORS[refused.why]
    # Only its words tell this error from any other bad request.
    says = "prompt is too long" if refused.why == "context_length" else refused.says
    return status, {"type": "error", "error": {"type": kind, "message": says}}


def happened(kind: str, **fields: Any) -> str:
    return event({"type": kind, **fields}, kind)


def block(index: int, begin: Json, *deltas: Json, whole: bool = True) -> Iterator[str]:
    yield happened("content_block_start", index=index, content_block=begin)
    for delta in deltas:
        yield happened("content_block_delta", index=index, delta=delta)
    if whole:
        yield happened("content_block_stop", index=index)


def content(answer: Answer) -> Iterator[str]:
    usage = {
        "input_tokens": 8,
        "cache_read_input_tokens": 8,
        "cache_creation_input_tokens": 4,
        "output_tokens": 1,
    }
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test", "content": []}
    yield happened("message_start", message=message | {"stop_reason": None, "usage": usage})
    whole = answer.then == "finish"
    if answer.thought:
        text = {"type": "thinking_delta", "thinking": answer.thought.text}
        signature = {"type": "signature_delta", "signature": answer.thought.signature}
        yield from block(0, {"type": "thinking", "thinking": "", "signature": ""}, text, signature)
    if answer.texts:
        deltas = [{"type": "text_delta", "text": text} for text in answer.texts]
        yield from block(1, {"type": "text", "text": ""}, *deltas, whole=whole)
    for index, call in enumerate(answer.calls, 2):
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in call.pieces]
        begin = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield from block(index, begin, *deltas, whole=whole)


def finish(answer: Answer) -> Iterator[str]:
    reason = {"length": "max_tokens", "stop": "tool_use" if answer.calls else "end_turn"}[answer.reason]
    yield happened("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 5})
    yield happened("message_stop")


def failure() -> str:
    return happened("error", error={"type": "overloaded_error", "message": "busy"})


def said(body: Json) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = [("system", body["system"])] if body.get("system") else []
    for message in body["messages"]:
        for part in message["content"]:
            match part:
                case {"type": "tool_use"}:
                    made.append(("call", part["id"], part["name"], part["input"]))
                case {"type": "tool_result"}:
                    made.append(("result", part["tool_use_id"], part["content"][0]["text"]))
                case {"type": "text"}:
                    made.append((message["role"], part["text"]))
    return made


def tools(body: Json) -> list[tuple[str, str, Json]]:
    return [(each["name"], each["description"], each["input_schema"]) for each in body["tools"]]


def settings(body: Json) -> Json:
    return {
        "temperature": body.get("temperature"),
        "max_tokens": body.get("max_tokens"),
        "top_p": body.get("top_p"),
        "reasoning_effort": (body.get("output_config") or {}).get("effort"),
    }


def thoughts(body: Json) -> list[Thought]:
    parts = [part for message in body["messages"] for part in message["content"]]
    return [Thought(part["thinking"], part["signature"]) for part in parts if part["type"] == "thinking"]


MESSAGES = Wire(
    model="anthropic:claude-test",
    reasoner="anthropic:claude-opus-4-6",
    path="/v1/messages",
    base="",
    writes_cache=True,
    content=content,
    finish=finish,
    failure=failure,
    refusal=refusal,
    said=said,
    tools=tools,
    settings=settings,
    thoughts=thoughts,
)
