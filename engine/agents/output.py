"""Structured output: the output of a run is an instance of a pydantic model, whoever the provider is.

The model is offered one more tool, `final_output`, whose parameters are the fields of the output. A call
that fits ends the run; one that does not is answered with what is wrong in it. A text is no output: the
model is asked for the call, a few times, and then the run fails.

What the call gives is the output as JSON, under the names of its fields: that is the run's output in the
log. Whoever asks the run for its result gets an instance made of it.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, JsonValue, PydanticUserError, ValidationError

from ...store.changeset import ToolOutcome
from ...store.document import dumps
from ...store.errors import DefinitionError
from ..models import ToolSpec
from .tool import Tool, ToolError, brief

FINAL_OUTPUT = "final_output"
MAX_REMINDERS = 3
"""How often in one epoch of a run the model is asked for the call that it did not make."""

REMINDER = f"A text is not the answer of this run. Give the answer by calling the tool {FINAL_OUTPUT!r}."
NOT_GIVEN = (
    f"the model answered with text, and did not call {FINAL_OUTPUT!r} "
    f"when it was asked for that {MAX_REMINDERS} times"
)


async def final_output(output: BaseModel) -> Any:
    """Give the answer of this run, and end it. Its arguments are the answer."""
    return output.model_dump(mode="json", by_alias=False, round_trip=True)


class OutputTool(Tool):
    """The tool that a run's output is given to: its arguments are the output itself.

    Raises:
        DefinitionError: the output's type is no model of an object.
    """

    def __init__(self, output_type: type[BaseModel]) -> None:
        super().__init__(final_output)
        self._output_type = output_type
        schema = _schema(output_type)
        description = "\n\n".join(filter(None, [self.description, schema.pop("description", "")]))
        self._spec = ToolSpec(self.name, description, schema)

    def _validated(self, arguments: Any) -> dict[str, Any]:
        try:
            return {"output": self._output_type.model_validate_json(dumps(arguments))}
        except ValidationError as err:
            raise ToolError(f"Invalid arguments: {brief(err)}") from err


def given_output(output_type: type[BaseModel], outcomes: Iterable[ToolOutcome]) -> JsonValue:
    """The output that the first call for it has given, as JSON; None if none has.

    Raises:
        DefinitionError: what is in the log does not make an output again.
    """
    for outcome in outcomes:
        if outcome.name == FINAL_OUTPUT and outcome.outcome == "succeeded":
            restored(output_type, outcome.result)
            return outcome.result
    return None


def restored(output_type: type[BaseModel], result: JsonValue) -> BaseModel:
    """An output that was given as JSON.

    Raises:
        DefinitionError: it makes none.
    """
    try:
        return output_type.model_validate_json(dumps(result), by_alias=False, by_name=True)
    except ValidationError as err:
        name = output_type.__name__
        raise DefinitionError(f"the output as JSON makes no {name} again: {brief(err)}") from err


def _schema(output_type: type[BaseModel]) -> dict[str, Any]:
    if not (isinstance(output_type, type) and issubclass(output_type, BaseModel)):
        raise DefinitionError(f"an output type is a pydantic model, not {output_type!r}")
    try:
        schema = output_type.model_json_schema()
    except PydanticUserError as err:
        raise DefinitionError(f"the output type {output_type.__name__} has no JSON schema: {err}") from err
    if "$ref" in schema:
        # A model that contains itself stands among its own definitions.
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]] | {"$defs": schema["$defs"]}
    if schema.get("type") != "object":
        raise DefinitionError(f"the output type {output_type.__name__} is no object: give it fields")
    return {key: value for key, value in schema.items() if key != "title"}
