from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadlog.engine import Model, ModelRequest, ScriptedModel, ToolCall, Turn
from threadlog.engine.models.model import Collector, FinishPart, Part, TextPart, ToolCallPart
from threadlog.store import Message
from threadlog.store.changeset import Usage

pytestmark = pytest.mark.anyio

REQUEST = ModelRequest((Message(id="m1", role="user", content="hello"),))
CALL, OTHER = ToolCall("add", {"a": 1}, "c1"), ToolCall("fail")


async def parts(model: Model, request: ModelRequest = REQUEST) -> list[Part]:
    return [part async for part in model.stream(request)]


async def answer(model: Model, request: ModelRequest = REQUEST) -> Turn:
    collector = Collector()
    for part in await parts(model, request):
        collector.add(part)
    return collector.turn()


def echo(request: ModelRequest) -> str:
    return f"you said {request.messages[-1].content}"


TURNS: list[tuple[Any, Turn]] = [
    ("hello", Turn(text="hello", finish_reason="stop")),
    ("", Turn(finish_reason="stop")),
    (CALL, Turn(tool_calls=(CALL,), finish_reason="tool_calls")),
    ([CALL, OTHER], Turn(tool_calls=(CALL, OTHER), finish_reason="tool_calls")),
    ((OTHER,), Turn(tool_calls=(OTHER,), finish_reason="tool_calls")),
    (
        Turn(text="so", tool_calls=(CALL,), usage=Usage(input_tokens=3), finish_reason="length"),
        Turn(text="so", tool_calls=(CALL,), usage=Usage(input_tokens=3), finish_reason="length"),
    ),
    (echo, Turn(text="you said hello", finish_reason="stop")),
    (lambda request: [CALL], Turn(tool_calls=(CALL,), finish_reason="tool_calls")),
]


@pytest.mark.parametrize(("script", "turn"), TURNS)
async def test_each_kind_of_turn_is_answered(script: Any, turn: Turn) -> None:
    assert await answer(ScriptedModel(script)) == turn


@pytest.mark.parametrize("script", [ValueError("no luck"), lambda request: ValueError("no luck")])
async def test_an_exception_is_raised(script: Any) -> None:
    with pytest.raises(ValueError, match="no luck"):
        await answer(ScriptedModel(script))


async def test_turns_are_answered_in_order_and_done_after_the_last() -> None:
    model = ScriptedModel("one", CALL, "three")

    answers = [await answer(model) for _ in range(5)]

    assert [turn.text for turn in answers] == ["one", "", "three", "done", "done"]


async def test_a_model_without_turns_is_done_at_once() -> None:
    assert await answer(ScriptedModel()) == Turn(text="done", finish_reason="stop")


async def test_the_parts_come_in_order_and_the_end_last() -> None:
    found = await parts(ScriptedModel(Turn(text="two words", tool_calls=[CALL])))

    assert found == [
        TextPart("two"),
        TextPart(" words"),
        ToolCallPart(CALL),
        FinishPart("tool_calls", Usage()),
    ]


@given(st.text() | st.text(st.sampled_from("a \n\t"), max_size=8))
async def test_the_pieces_join_to_the_text(text: str) -> None:
    """ "".join(pieces(text)) == text, and no piece is empty"""
    pieces = [part.text for part in await parts(ScriptedModel(text)) if isinstance(part, TextPart)]

    assert "".join(pieces) == text
    assert all(pieces)


def test_it_is_a_model_and_has_a_name() -> None:
    models: Callable[..., Model] = ScriptedModel

    assert isinstance(models("x"), Model)
    assert (models().name, models(name="other").name) == ("scripted", "other")
