"""OpenAI's two formats: chat completions and responses."""

from collections.abc import Iterator
from typing import Any

from support.provider_server import Answer, Json, Refusal, Thought, Wire, event, parsed

ERRORS: dict[str, tuple[int, Json]] = {
    "rate_limit": (429, {"code": "rate_limit_exceeded", "type": "requests"}),
    "overloaded": (503, {"code": "server_is_overloaded", "type": "server_error"}),
    "server": (500, {"code": None, "type": "server_error"}),
    "auth": (401, {"code": "invalid_api_key", "type": "invalid_request_error"}),
    "context_length": (400, {"code": "context_length_exceeded", "type": "invalid_request_error"}),
    "request": (400, {"code": None, "type": "invalid_request_error"}),
}


def refusal(refused: Refusal) -> tuple[int, Json]:
    status, error = ERRORS[refused.why]
    return status, {"error": error | {"message": refused.says}}


# Chat completions


def chunk(delta: Json | None = None, **fields: Any) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta, **fields}]
    whole = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test"}
    return event(whole | {"choices": choices} | ({} if delta is not None else fields))


def chat_content(answer: Answer) -> Iterator[str]:
    for text in answer.texts:
        yield chunk({"role": "assistant", "content": text})
    for index, call in enumerate(answer.calls):
        function = {"name": call.name, "arguments": ""}
        yield chunk(
            {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]}
        )
        for piece in call.pieces:
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})


def chat_finish(answer: Answer) -> Iterator[str]:
    reason = "tool_calls" if answer.calls and answer.reason == "stop" else answer.reason
    yield chunk({}, finish_reason=reason)
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    yield chunk(usage=usage | {"prompt_tokens_details": {"cached_tokens": 8}})
    yield "data: [DONE]\n\n"


def chat_failure() -> str:
    return event({"error": {"message": "busy", "code": "server_is_overloaded", "type": "server_error"}})


def chat_said(body: Json) -> list[tuple[Any, ...]]:
    said: list[tuple[Any, ...]] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            said.append(("result", message["tool_call_id"], message["content"]))
        elif message["content"]:
            said.append((message["role"], message["content"]))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            said.append(("call", call["id"], function["name"], parsed(function["arguments"])))
    return said


def chat_tools(body: Json) -> list[tuple[str, str, Json]]:
    functions = [tool["function"] for tool in body["tools"]]
    return [(each["name"], each["description"], each["parameters"]) for each in functions]


def chat_settings(body: Json) -> Json:
    return {
        "temperature": body.get("temperature"),
        "max_tokens": body.get("max_completion_tokens"),
        "top_p": body.get("top_p"),
        "reasoning_effort": body.get("reasoning_effort"),
    }


CHAT = Wire(
    model="openai-chat:gpt-test",
    reasoner="openai-chat:gpt-5",
    path="/chat/completions",
    base="/v1",
    writes_cache=False,
    content=chat_content,
    finish=chat_finish,
    failure=chat_failure,
    refusal=refusal,
    said=chat_said,
    tools=chat_tools,
    settings=chat_settings,
    thoughts=lambda body: [],
)


# Responses


def happened(kind: str, **fields: Any) -> str:
    return event({"type": kind, "sequence_number": 0, **fields}, kind)


def response(status: str, **fields: Any) -> Json:
    made = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-test", "output": []}
    return made | {"status": status, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True} | fields


def responses_content(answer: Answer) -> Iterator[str]:
    yield happened("response.created", response=response("in_progress"))
    if answer.thought:
        summary = [{"type": "summary_text", "text": answer.thought.text}]
        item: Json = {"type": "reasoning", "id": "rs_1", "summary": summary}
        item["encrypted_content"] = answer.thought.signature
        place = {"output_index": 0, "item_id": "rs_1", "summary_index": 0}
        yield happened("response.output_item.added", output_index=0, item=item | {"summary": []})
        yield happened("response.reasoning_summary_text.delta", delta=answer.thought.text, **place)
        yield happened("response.output_item.done", output_index=0, item=item)
    if answer.texts:
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
        yield happened("response.output_item.added", output_index=1, item=item)
    for text in answer.texts:
        place = {"output_index": 1, "item_id": "msg_1", "content_index": 0, "logprobs": []}
        yield happened("response.output_text.delta", delta=text, **place)
    for index, call in enumerate(answer.calls, 2):
        item = {"type": "function_call", "id": f"fc_{index}", "call_id": call.id, "name": call.name}
        yield happened("response.output_item.added", output_index=index, item=item | {"arguments": ""})
        for piece in call.pieces:
            place = {"output_index": index, "item_id": f"fc_{index}"}
            yield happened("response.function_call_arguments.delta", delta=piece, **place)
        if answer.then == "finish":
            whole = item | {"arguments": "".join(call.pieces), "status": "completed"}
            yield happened("response.output_item.done", output_index=index, item=whole)


def responses_finish(answer: Answer) -> Iterator[str]:
    usage = {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}
    details = {
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    if answer.reason == "stop":
        yield happened("response.completed", response=response("completed", usage=usage | details))
    else:
        made = response(
            "incomplete", usage=usage | details, incomplete_details={"reason": "max_output_tokens"}
        )
        yield happened("response.incomplete", response=made)


def responses_failure() -> str:
    error = {"code": "server_is_overloaded", "message": "busy"}
    return happened("response.failed", response=response("failed", error=error))


def responses_said(body: Json) -> list[tuple[Any, ...]]:
    said: list[tuple[Any, ...]] = []
    for item in body["input"]:
        match item:
            case {"type": "function_call"}:
                said.append(("call", item["call_id"], item["name"], parsed(item["arguments"])))
            case {"type": "function_call_output"}:
                said.append(("result", item["call_id"], item["output"]))
            case {"role": role, "content": str(text)}:
                said.append((role, text))
            case {"role": role, "content": content}:
                said.append((role, "".join(part["text"] for part in content)))
    return said


def responses_tools(body: Json) -> list[tuple[str, str, Json]]:
    return [(each["name"], each["description"], each["parameters"]) for each in body["tools"]]


def responses_settings(body: Json) -> Json:
    return {
        "temperature": body.get("temperature"),
        "max_tokens": body.get("max_output_tokens"),
        "top_p": body.get("top_p"),
        "reasoning_effort": (body.get("reasoning") or {}).get("effort"),
    }


def responses_thoughts(body: Json) -> list[Thought]:
    items = [item for item in body["input"] if item.get("type") == "reasoning"]
    return [Thought(item["summary"][0]["text"], item["encrypted_content"]) for item in items]


RESPONSES = Wire(
    model="openai:gpt-test",
    reasoner="openai:gpt-5",
    path="/responses",
    base="/v1",
    writes_cache=False,
    content=responses_content,
    finish=responses_finish,
    failure=responses_failure,
    refusal=refusal,
    said=responses_said,
    tools=responses_tools,
    settings=responses_settings,
    thoughts=responses_thoughts,
)
