import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import anyio
import pytest
from pydantic import BaseModel, Field

from threadlog.engine import Tool, ToolContext, ToolError, ToolResult, tool
from threadlog.reducers import Set

pytestmark = pytest.mark.anyio

STATE = {"budget": {"spent": 3}, "none": None}
CONTEXT = ToolContext("r1", "t1", "c1", "planner", "key", None, STATE)


async def called(function: Tool | Callable[..., Any], **arguments: Any) -> Any:
    made = function if isinstance(function, Tool) else Tool(function)
    return (await made.call(CONTEXT, arguments)).output


def schema(function: Callable[..., Any]) -> dict[str, Any]:
    return Tool(function).spec().parameters


async def search(city: str, days: int = 3, *, kind: Literal["hotel", "inn"] = "inn") -> list[str]:
    """Find places to stay.

    Only those that are open.

    Args:
        city: Where to look,
            in any language.
        days: How long.

    Returns:
        Their names.
    """
    return [f"{kind} in {city}"] * days


def test_the_schema_comes_from_the_type_hints_and_the_texts_from_the_docstring() -> None:
    spec = Tool(search).spec()

    assert (spec.name, spec.description) == (
        "search",
        "Find places to stay.\n\nOnly those that are open.",
    )
    assert spec.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["city"],
        "properties": {
            "city": {
                "type": "string",
                "title": "City",
                "description": "Where to look,\nin any language.",
            },
            "days": {"type": "integer", "title": "Days", "default": 3, "description": "How long."},
            "kind": {"type": "string", "title": "Kind", "default": "inn", "enum": ["hotel", "inn"]},
        },
    }


async def test_arguments_that_are_left_out_have_their_defaults() -> None:
    assert await called(search, city="Kyoto") == ["inn in Kyoto"] * 3
    assert await called(search, city="Kyoto", days=1, kind="hotel") == ["hotel in Kyoto"]


def test_a_tool_without_a_docstring_or_parameters_has_none() -> None:
    def now() -> int:
        return 0

    spec = Tool(now).spec()

    assert (spec.description, spec.parameters["properties"]) == ("", {})


class Place(BaseModel):
    """A place."""

    city: str
    stars: int = 3


@dataclass
class Trip:
    """A trip."""

    places: list[Place]
    day: date


async def test_arguments_may_be_models_and_arrive_as_such() -> None:
    async def book(place: Place, trip: Trip, guests: list[Place] | None = None) -> list[Any]:
        assert isinstance(place, Place)
        assert isinstance(trip, Trip)
        return [place.stars, trip.places[0].city, trip.day.year, guests]

    given = {"place": {"city": "Kyoto"}, "trip": {"places": [{"city": "Nara"}], "day": "2026-11-20"}}

    assert await called(book, **given) == [3, "Nara", 2026, None]
    assert schema(book)["$defs"]["Place"]["required"] == ["city"]


def test_constraints_and_descriptions_may_stand_in_the_type_hint() -> None:
    def book(
        days: Annotated[int, Field(ge=1, description="How long.")], rooms: Annotated[int, Field(le=9)]
    ) -> None:
        """Book.

        Args:
            rooms: How many.
        """

    properties = schema(book)["properties"]

    assert properties["days"] == {
        "type": "integer",
        "title": "Days",
        "minimum": 1,
        "description": "How long.",
    }
    assert properties["rooms"] == {
        "type": "integer",
        "title": "Rooms",
        "maximum": 9,
        "description": "How many.",
    }


async def test_an_argument_may_have_any_name() -> None:
    def odd(json: str, copy: int, model_config: int, _private: int, self: int = 0) -> list[Any]:
        return [json, copy, model_config, _private, self]

    assert await called(odd, json="a", copy=1, model_config=2, _private=3) == ["a", 1, 2, 3, 0]
    assert schema(odd)["required"] == ["json", "copy", "model_config", "_private"]


async def test_a_first_parameter_typed_as_the_context_gets_it() -> None:
    def which(context: ToolContext, suffix: str) -> str:
        return f"{context.run_id} {context.thread_id} {context.call_id} {context.agent} {suffix}"

    assert await called(which, suffix="!") == "r1 t1 c1 planner !"
    assert list(schema(which)["properties"]) == ["suffix"]


def test_the_context_reads_the_state_and_its_readings_are_copies() -> None:
    """It only reads: what a tool changes and says is in its `ToolResult`, and nowhere else."""
    CONTEXT.read("/budget")["spent"] = 0

    assert CONTEXT.read("/budget/spent") == 3
    assert CONTEXT.read("/none", default=1) is None
    assert CONTEXT.read("/nothing/here", default=1) == 1
    assert CONTEXT.read() == {"budget": {"spent": 3}, "none": None}


async def test_a_plain_function_runs_in_a_worker_thread_and_a_coroutine_in_the_loop() -> None:
    def blocking() -> bool:
        return threading.current_thread() is threading.main_thread()

    async def quick() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await called(blocking) is False
    assert await called(quick) is True


async def test_a_blocking_tool_does_not_hold_up_the_loop() -> None:
    reached = threading.Event()

    def wait() -> bool:
        return reached.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, reached.set)
        assert await called(wait) is True


def test_the_decorator_works_with_and_without_parentheses() -> None:
    @tool
    def bare() -> None: ...

    @tool()
    def called() -> None: ...

    assert (bare.name, called.name, repr(bare)) == ("bare", "called", "<Tool bare>")


WRONG: list[tuple[Any, str]] = [
    ({}, "Invalid arguments: city: Field required"),
    ({"city": 1}, "Invalid arguments: city: Input should be a valid string"),
    ({"city": "x", "town": "y"}, "Invalid arguments: town: Extra inputs are not permitted"),
    ({"city": "x", "argument_0": "y"}, "argument_0: Extra inputs are not permitted"),
    ({"city": 1, "days": "many"}, "city: Input should be a valid string; days: Input should be"),
    ("Kyoto", "Invalid arguments: arguments: Input should be a valid dictionary"),
    (None, "Invalid arguments: arguments: Input should be"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG)
async def test_arguments_that_do_not_fit_are_told_by_name(arguments: Any, text: str) -> None:
    with pytest.raises(ToolError, match=text):
        await Tool(search).call(CONTEXT, arguments)


async def test_the_place_of_a_wrong_argument_is_told() -> None:
    def book(trip: list[Place]) -> None: ...

    with pytest.raises(
        ToolError, match=r"^Invalid arguments: trip\.1\.stars: Input should be a valid integer"
    ):
        await called(book, trip=[{"city": "a"}, {"city": "b", "stars": "many"}])


RESULTS: list[tuple[Any, Any]] = [
    (None, None),
    ("text", "text"),
    ({"a": [1, 2.5, True]}, {"a": [1, 2.5, True]}),
    ((1, 2), [1, 2]),
    (Place(city="Kyoto"), {"city": "Kyoto", "stars": 3}),
    ([Place(city="Kyoto")], [{"city": "Kyoto", "stars": 3}]),
    (
        Trip([Place(city="Nara")], date(2026, 11, 20)),
        {"places": [{"city": "Nara", "stars": 3}], "day": "2026-11-20"},
    ),
    (ToolResult({"a": 1}), {"a": 1}),
    (ToolResult(Place(city="Kyoto")), {"city": "Kyoto", "stars": 3}),
]


@pytest.mark.parametrize(("returned", "output"), RESULTS)
async def test_a_result_becomes_json(returned: Any, output: Any) -> None:
    def give() -> Any:
        return returned

    assert await called(give) == output


async def test_a_result_is_a_value_of_its_own() -> None:
    kept = {"list": [1]}

    def give() -> dict[str, list[int]]:
        return kept

    given = await called(give)
    kept["list"].append(2)

    assert given == {"list": [1]}


NOT_JSON: list[Any] = [float("nan"), [float("inf")], object(), 2**64, "\ud800", {1: object()}, b"\xff"]


@pytest.mark.parametrize("returned", NOT_JSON, ids=range(len(NOT_JSON)))
async def test_a_result_that_the_log_cannot_keep_is_an_error_of_the_tool(returned: Any) -> None:
    def give() -> Any:
        return returned

    with pytest.raises(ToolError, match="the result of 'give' cannot be kept"):
        await called(give)


async def test_a_result_may_bring_actions() -> None:
    def act() -> ToolResult:
        return ToolResult("done", [Set("/a", 1)])

    assert await Tool(act).call(CONTEXT, {}) == ToolResult("done", [Set("/a", 1)], [])


@pytest.mark.parametrize("error", [ToolError("closed"), ValueError("closed")], ids=repr)
async def test_what_a_tool_raises_comes_out_as_it_is(error: Exception) -> None:
    def closed() -> None:
        raise error

    with pytest.raises(type(error), match="closed") as raised:
        await called(closed)

    assert raised.value is error


async def test_a_method_may_be_a_tool() -> None:
    class Desk:
        greeting = "hello"

        def greet(self, name: str) -> str:
            """Greet a person."""
            return f"{self.greeting} {name}"

    assert await called(Desk().greet, name="you") == "hello you"
