"""The parameters of a tool: JSON schema and validation, derived from the signature of a function.

The schema comes from the type hints, the descriptions come from the docstring. A first parameter with the
type `ToolContext` receives the context and is not part of the schema.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from docstring_parser import parse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PydanticUserError, ValidationError, create_model
from pydantic.fields import FieldInfo

from ...store.errors import DefinitionError
from .tool_context import ToolContext


@dataclass(frozen=True, slots=True)
class ToolParameters:
    """The arguments that a tool accepts."""

    schema: dict[str, Any]
    """The JSON schema of the arguments object, for the model."""

    validate: Callable[[JsonValue], dict[str, Any]]
    """Turns the model's arguments into those of the function. Raises pydantic's `ValidationError`."""

    context: str | None = None
    """The name of the parameter that receives the context."""


def function_parameters(function: Callable[..., Any]) -> ToolParameters:
    """Derive the parameters of a tool from the signature of its function.

    Raises:
        DefinitionError: a parameter has no type hint, or one without a JSON schema, or it is variadic or
            positional-only, or the context is not the first parameter.
    """
    try:
        context, fields = _fields(function)
        model = _arguments_model(function, fields)
        schema = model.model_json_schema()
    except (PydanticUserError, NameError) as err:
        raise DefinitionError(
            f"the tool {function.__name__!r} has a type hint without a schema: {err}"
        ) from err
    del schema["title"]

    def validate(arguments: JsonValue) -> dict[str, Any]:
        valid = model.model_validate(arguments)
        return {field.alias or "": getattr(valid, name) for name, field in model.model_fields.items()}

    return ToolParameters(schema, validate, context)


def summarize_errors(err: ValidationError) -> str:
    """Return the places and problems of a validation error as one line."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in err.errors()
    )


def _fields(function: Callable[..., Any]) -> tuple[str | None, dict[str, tuple[Any, Any]]]:
    """Return the name of the context parameter, and the type hint and default of every other parameter."""
    hints = get_type_hints(function, include_extras=True)
    context, fields = None, {}
    for index, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        _refuse_parameter(function, parameter, hints)
        if hints[name] is not ToolContext:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints[name], default)
        elif index:
            raise DefinitionError(f"make the context the first parameter of the tool {function.__name__!r}")
        else:
            context = name
    return context, fields


def _refuse_parameter(
    function: Callable[..., Any], parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> None:
    tool, name = function.__name__, parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise DefinitionError(f"the tool {tool!r} takes {parameter}: give every argument a name")
    if name not in hints:
        raise DefinitionError(f"annotate the parameter {name!r} of the tool {tool!r}")
    if isinstance(parameter.default, FieldInfo):
        raise DefinitionError(f"write {name!r} of {tool!r} as Annotated[..., Field(...)]")


def _arguments_model(function: Callable[..., Any], fields: Mapping[str, tuple[Any, Any]]) -> type[BaseModel]:
    docstring = parse(inspect.getdoc(function) or "")
    texts = {param.arg_name: param.description for param in docstring.params}
    # The fields get neutral names: an argument called `json` or `copy` would hide a method of the model.
    described: dict[str, Any] = {
        f"argument_{index}": (hint, _field(name, default, texts.get(name)))
        for index, (name, (hint, default)) in enumerate(fields.items())
    }
    model: type[BaseModel] = create_model(
        function.__name__, __config__=ConfigDict(extra="forbid"), **described
    )
    return model


def _field(name: str, default: Any, text: str | None) -> Any:
    # Pass no empty description: it would replace the one in the type hint.
    return Field(default, alias=name, description=text) if text else Field(default, alias=name)
