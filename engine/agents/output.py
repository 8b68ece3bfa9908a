"""Structured output: the output of a run is an instance of a pydantic model, with every provider.

The model gets an additional tool, `final_output`, whose parameters are the fields of the output. A valid call
ends the run. An invalid call is answered with the validation errors. A text is not an output: the loop asks
the model to call the tool, a few times, and then the run fails.

The log keeps the output as JSON, by field name. The result of the run has an instance made from it.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, JsonValue, PydanticUserError, ValidationError

from ...store.changeset import ToolOutcome
from ...store.document import dumps
from ...store.errors import DefinitionError
from .tool import Tool
from .tool_parameters import ToolParameters, summarize_errors

FINAL_OUTPUT = "final_output"
DESCRIPTION = "Give the answer of this run, and end it. Its arguments are the answer."
MAX_REMINDERS = 3
"""How often the model is reminded in one epoch of a run."""

REMINDER = f"A text is not the answer of this run. Give the answer by calling the tool {FINAL_OUTPUT!r}."
NOT_GIVEN = (
    f"the model answered with text, and did not call {FINAL_OUTPUT!r} "
    f"when it was asked for that {MAX_REMINDERS} times"
)


async def final_output(output: BaseModel) -> dict[str, Any]:
    """Return the output as JSON, by field name."""
    return output.model_dump(mode="json", by_alias=False, round_trip=True)


def output_tool(output_type: type[BaseModel]) -> Tool:
    """Return the tool that receives the output of a run: its arguments are the fields of the output.

    Raises:
        DefinitionError: the output type is not a pydantic model with fields.
    """
    schema = _schema(output_type)
    description = "\n\n".join(filter(None, [DESCRIPTION, schema.pop("description", "")]))

    def validate(arguments: JsonValue) -> dict[str, Any]:
        return {"output": output_type.model_validate_json(dumps(arguments))}

    return Tool(final_output, description=description, parameters=ToolParameters(schema, validate))


def find_output(output_type: type[BaseModel], outcomes: Iterable[ToolOutcome]) -> JsonValue:
    """Return the output of the first successful call of `final_output` as JSON, or None.

    Raises:
        DefinitionError: the JSON is not a valid output.
    """
    for outcome in outcomes:
        if outcome.name == FINAL_OUTPUT and outcome.outcome == "succeeded":
            restore_output(output_type, outcome.result)
            return outcome.result
    return None


def restore_output(output_type: type[BaseModel], result: JsonValue) -> BaseModel:
    """Return the output that the log keeps as JSON.

    Raises:
        DefinitionError: the JSON is not a valid output.
    """
    try:
        return output_type.model_validate_json(dumps(result), by_alias=False, by_name=True)
    except ValidationError as err:
        name = output_type.__name__
        raise DefinitionError(f"the output as JSON makes no {name} again: {summarize_errors(err)}") from err


def _schema(output_type: type[BaseModel]) -> dict[str, Any]:
    if not (isinstance(output_type, type) and issubclass(output_type, BaseModel)):
        raise DefinitionError(f"an output type is a pydantic model, not {output_type!r}")
    try:
        schema = output_type.model_json_schema()
    except PydanticUserError as err:
        raise DefinitionError(f"the output type {output_type.__name__} has no JSON schema: {err}") from err
    if "$ref" in schema:
        # The schema of a model that contains itself is one of its own definitions.
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]] | {"$defs": schema["$defs"]}
    if schema.get("type") != "object":
        raise DefinitionError(f"the output type {output_type.__name__} is no object: give it fields")
    return {key: value for key, value in schema.items() if key != "title"}
