"""Tools: plain functions that a model may call.

    @tool
    async def search_flights(origin: str, destination: str) -> list[dict]:
        \"\"\"Find flights between two cities.\"\"\"

The schema comes from the type hints, the descriptions come from the docstring. A first parameter with the
type `ToolContext` receives the context. A function that is not `async` runs in a worker thread: it may block.
"""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, overload

from anyio import fail_after
from anyio.to_thread import run_sync
from docstring_parser import parse
from pydantic import JsonValue, ValidationError

from ...reducers.reduce import StateAction
from ...store.errors import ContentError, in_words
from ..models import ToolSpec
from .tool_context import ToolContext
from .tool_parameters import ToolParameters, function_parameters, summarize_errors
from .tool_result import ToolAnswer, ToolError, ToolResult, to_json_result

NeedsApproval = bool | Callable[[dict[str, Any]], bool]


class Tool:
    """A function with the schema of its arguments."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        needs_approval: NeedsApproval = False,
        idempotent: bool = False,
        timeout: float | None = None,
        description: str | None = None,
        parameters: ToolParameters | None = None,
        announces: Callable[[ToolContext, JsonValue], Sequence[StateAction]] | None = None,
    ) -> None:
        """`description` and `parameters` replace those that are derived from the function.

        `announces` is a pure function of the context and the arguments of a call. It returns actions that
        are durable in the log before the call starts.
        """
        self.name = function.__name__
        self.function = function
        self.is_idempotent = idempotent
        self.timeout = timeout
        self._needs_approval = needs_approval
        self._announces = announces
        self._parameters = parameters or function_parameters(function)
        self._spec = ToolSpec(
            self.name, _description(function) if description is None else description, self._parameters.schema
        )

    def spec(self) -> ToolSpec:
        """Return the tool as a model sees it."""
        return self._spec

    def problem_with(self, arguments: JsonValue) -> str | None:
        """Return why the arguments are invalid, as the model reads it; None if they are valid."""
        try:
            self._validate(arguments)
        except ToolError as err:
            return str(err)
        return None

    def wants_approval(self, arguments: Any) -> bool:
        """Return whether a person must approve a call with these arguments."""
        wanted = self._needs_approval
        return wanted(deepcopy(arguments)) if callable(wanted) else wanted

    def announcement(self, context: ToolContext, arguments: JsonValue) -> Sequence[StateAction]:
        """Return the actions that must be durable before a call with these arguments starts."""
        return self._announces(context, arguments) if self._announces else ()

    async def answer(self, context: ToolContext, arguments: JsonValue) -> ToolAnswer:
        """Call the function and return the answer. An exception becomes an answer for the model."""
        try:
            with fail_after(self.timeout):
                result = await self.call(context, arguments)
        except ToolError as err:
            return ToolAnswer.failure(in_words(err))
        except TimeoutError as err:
            late = f"no answer within {self.timeout} seconds" if self.timeout else in_words(err)
            return ToolAnswer.failure(f"Execution failed: {late}")
        except Exception as err:
            return ToolAnswer.failure(f"Execution failed: {in_words(err)}")
        if result.suspend:
            return ToolAnswer("suspended", suspend=result.suspend)
        return ToolAnswer("succeeded", result.output, result.actions, result.messages)

    async def call(self, context: ToolContext, arguments: JsonValue) -> ToolResult:
        """Call the function with the arguments that the model gave.

        A blocking function cannot be stopped. If the call is cancelled or times out, the function keeps
        running in its thread and its result is dropped.

        Raises:
            ToolError: the arguments do not fit the schema, or the result is not JSON.
            Exception: whatever the function raises.
        """
        given = self._validate(arguments)
        if self._parameters.context:
            given = {self._parameters.context: context} | given
        if inspect.iscoroutinefunction(self.function):
            returned = await self.function(**given)
        else:
            returned = await run_sync(partial(self.function, **given), abandon_on_cancel=True)
        result = returned if isinstance(returned, ToolResult) else ToolResult(returned)
        try:
            return to_json_result(result)
        except ValidationError as err:
            raise ToolError(f"the result of {self.name!r} cannot be kept: {summarize_errors(err)}") from err
        except (ContentError, ValueError, TypeError) as err:
            raise ToolError(f"the result of {self.name!r} cannot be kept: {err}") from err

    def _validate(self, arguments: JsonValue) -> dict[str, Any]:
        try:
            return self._parameters.validate(arguments)
        except ValidationError as err:
            raise ToolError(f"Invalid arguments: {summarize_errors(err)}") from err

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


@overload
def tool(function: Callable[..., Any]) -> Tool: ...
@overload
def tool(
    *,
    needs_approval: NeedsApproval = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    needs_approval: NeedsApproval = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Turn a function into a tool. The decorator works with and without parentheses.

    `needs_approval`, or a function of the arguments that returns it, asks a person before each call.
    `idempotent` declares that a second call with the same key does no harm: a crashed call may be repeated.
    `timeout` is in seconds.

    Raises:
        DefinitionError: a parameter has no type hint, or one without a JSON schema, or it is variadic or
            positional-only, or the `ToolContext` is not the first parameter.
    """
    made = partial(Tool, needs_approval=needs_approval, idempotent=idempotent, timeout=timeout)
    return made(function) if function else made


def _description(function: Callable[..., Any]) -> str:
    docstring = parse(inspect.getdoc(function) or "")
    return "\n\n".join(filter(None, [docstring.short_description, docstring.long_description]))
