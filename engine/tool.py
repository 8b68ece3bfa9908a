"""Tools: plain functions that a model may call.

    @tool
    async def search_flights(origin: str, destination: str) -> list[dict]:
        \"\"\"Find flights between two cities.\"\"\"

The schema comes from the type hints, the texts from the docstring. A first parameter typed `ToolContext`
gets the context. A plain function runs in a worker thread, so it may block.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_type_hints, overload

from anyio.to_thread import run_sync
from docstring_parser import parse
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from ..reducers.reduce import StateAction
from ..store.document import dumps, loads
from ..store.errors import ContentError, DefinitionError, ThreadlogError
from ..store.patch import MISSING, find
from .model import ToolSpec


class ToolError(ThreadlogError):
    """A tool call failed: the model is told the text, and the run goes on. Tools may raise it."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call it serves."""

    run_id: str
    thread_id: str
    call_id: str
    agent: str
    _state: Any = field(repr=False)

    def read(self, path: str = "", default: Any = None) -> Any:
        """The value at a JSON pointer of the thread's state, as it was when the call began: a copy."""
        return copied(self._state, path, default)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gives when it also changes state: state is changed by actions only."""

    output: Any
    """For the model: JSON, or whatever pydantic makes JSON of."""

    actions: Sequence[StateAction] = ()
    """Reduced in order when the call has succeeded, all or none."""


class Tool:
    """A function with the schema of its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        described = parse(inspect.getdoc(function) or "")
        self.name = function.__name__
        self.description = "\n\n".join(
            filter(None, [described.short_description, described.long_description])
        )
        self._function = function
        texts = {param.arg_name: param.description for param in described.params}
        try:
            self._context, fields = _parameters(function)
            self._arguments = _arguments_model(self.name, fields, texts)
            schema = self._arguments.model_json_schema()
        except (PydanticUserError, NameError) as err:
            raise DefinitionError(f"the tool {self.name!r} has a type hint without a schema: {err}") from err
        schema.pop("title")
        self._spec = ToolSpec(self.name, self.description, schema)

    def spec(self) -> ToolSpec:
        """How a model sees it."""
        return self._spec

    async def call(self, context: ToolContext, arguments: Any) -> ToolResult:
        """Call the function with arguments as the model gave them.

        Raises:
            ToolError: the arguments do not fit the schema, or what it returned is not JSON.
            Exception: whatever the function raises.
        """
        given = self._validated(arguments)
        if self._context:
            given = {self._context: context} | given
        if inspect.iscoroutinefunction(self._function):
            returned = await self._function(**given)
        else:
            returned = await run_sync(partial(self._function, **given))
        result = returned if isinstance(returned, ToolResult) else ToolResult(returned)
        return ToolResult(_json(result.output, self.name), tuple(result.actions))

    def _validated(self, arguments: Any) -> dict[str, Any]:
        try:
            model = self._arguments.model_validate(arguments)
        except ValidationError as err:
            raise ToolError(f"Invalid arguments: {_brief(err)}") from err
        return {field.alias or "": getattr(model, name) for name, field in type(model).model_fields.items()}

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


@overload
def tool(function: Callable[..., Any]) -> Tool: ...
@overload
def tool() -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Makes a function a tool; also works with parentheses.

    Raises:
        DefinitionError: a parameter has no type hint, or one without a JSON schema, or it is variadic or
            positional-only, or it is the `ToolContext` and not the first.
    """
    return Tool(function) if function else Tool


def copied(document: Any, path: str, default: Any) -> Any:
    """A part of a document that its reader may do with as it likes."""
    found = find(document, path)
    return default if found is MISSING else loads(dumps(found))


def _parameters(function: Callable[..., Any]) -> tuple[str | None, dict[str, Any]]:
    hints = get_type_hints(function, include_extras=True)
    context, fields = None, {}
    for index, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(
                f"the tool {function.__name__!r} takes {parameter}: give every argument a name"
            )
        if name not in hints:
            raise DefinitionError(f"annotate the parameter {name!r} of the tool {function.__name__!r}")
        if isinstance(parameter.default, FieldInfo):
            raise DefinitionError(f"write {name!r} of {function.__name__!r} as Annotated[..., Field(...)]")
        if hints[name] is ToolContext:
            if index:
                raise DefinitionError(
                    f"make the context the first parameter of the tool {function.__name__!r}"
                )
            context = name
        else:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints[name], default)
    return context, fields


def _arguments_model(name: str, fields: dict[str, Any], texts: dict[str, str | None]) -> type[BaseModel]:
    # Under names of the model's own: an argument called `json` or `copy` would hide what every model has.
    described: dict[str, Any] = {
        f"argument_{index}": (hint, _field(field, default, texts.get(field)))
        for index, (field, (hint, default)) in enumerate(fields.items())
    }
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **described)
    return model


def _field(name: str, default: Any, text: str | None) -> Any:
    # Without a text the key is left out: it would take the place of a description in the type hint.
    return Field(default, alias=name, description=text) if text else Field(default, alias=name)


def _json(output: Any, name: str) -> Any:
    try:
        return loads(dumps(to_jsonable_python(output)))
    except (ContentError, ValueError) as err:
        raise ToolError(f"the result of {name!r} cannot be kept: {err}") from err


def _brief(err: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in err.errors()
    )
