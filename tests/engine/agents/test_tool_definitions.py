"""Functions that cannot be tools are refused when they are defined."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import Field

from threadlog.engine import ToolContext, tool
from threadlog.store.errors import DefinitionError


def unannotated(city) -> None:  # type: ignore[no-untyped-def]
    ...


def variadic(*cities: str) -> None: ...


def variadic_by_name(**cities: str) -> None: ...


def positional(city: str, /) -> None: ...


def context_later(city: str, context: ToolContext) -> None: ...


def field_as_default(city: str = Field("Kyoto")) -> None: ...


def unknown_name(city: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    ...


def no_schema(callback: Callable[[], None]) -> None: ...


class Unknown: ...


def no_type(thing: Unknown) -> None: ...


REFUSED: list[tuple[Any, str]] = [
    (unannotated, "annotate the parameter 'city'"),
    (variadic, r"takes \*cities: str: give every argument a name"),
    (variadic_by_name, r"takes \*\*cities: str: give every argument a name"),
    (positional, "takes city: str: give every argument a name"),
    (context_later, "make the context the first parameter"),
    (field_as_default, r"as Annotated\[..., Field\(...\)\]"),
    (unknown_name, "a type hint without a schema: name 'Nowhere' is not defined"),
    (no_schema, "a type hint without a schema"),
    (no_type, "a type hint without a schema"),
]


@pytest.mark.parametrize(("function", "text"), REFUSED)
def test_a_function_that_cannot_be_a_tool_is_refused_when_it_is_defined(function: Any, text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        tool(function)
