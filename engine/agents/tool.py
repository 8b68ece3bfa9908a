"""Tools: plain functions that a model may call.

    @tool
    async def search_flights(origin: str, destination: str) -> list[dict]:
        \"\"\"Find flights between two cities.\"\"\"

The schema comes from the type hints, the texts from the docstring. A first parameter typed `ToolContext`
gets the context. A plain function runs in a worker thread, so it may block.
"""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, get_type_hints, overload

from anyio import NoEventLoopError, fail_after, from_thread
from anyio.to_thread import run_sync
from docstring_parser import parse
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from ...reducers.reduce import StateAction
from ...reducers.scope import place
from ...reducers.tool_call import DecisionRecord
from ...store.changeset import Message, Scope
from ...store.document import dumps, loads
from ...store.errors import ContentError, DefinitionError, ThreadlogError, in_words
from ...store.patch import MISSING, find
from ..models import ToolSpec
from .actions import AddMessage, Suspend


class ToolError(ThreadlogError):
    """A tool call failed: the model is told the text, and the run goes on. Tools may raise it."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call it serves."""

    run_id: str
    thread_id: str
    call_id: str
    agent: str
    idempotency_key: str
    """The same whenever this very call is made again: hand it to whatever must not do things twice."""

    decision: DecisionRecord | None = None
    """What a person decided about the call, if one had to."""

    _state: Any = field(default=None, repr=False)
    _messages: Sequence[Message] = field(default=(), repr=False)
    _tell: Callable[[Any], None] = field(default=print, repr=False)

    def read(self, path: str = "", default: Any = None, *, scope: Scope = "thread") -> Any:
        """The value at a JSON pointer of the state, as it was when the call began: a copy.

        The pointer is into the scope, as with an action: `tool_call` is this very call.
        """
        return copied(self._state, place(scope, path, self.call_id), default)

    def messages(self) -> tuple[Message, ...]:
        """The conversation, as it was when the call began: a copy."""
        return deepcopy(tuple(self._messages))

    def progress(self, value: Any) -> None:
        """Tell how far the work is, to whoever follows the run. It is not kept."""
        try:
            from_thread.run_sync(self._tell, value)
        except NoEventLoopError:
            self._tell(value)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gives when it does more than answer: state is changed by actions only."""

    output: Any = None
    """For the model: JSON, or whatever pydantic makes JSON of."""

    actions: Sequence[StateAction] = ()
    """Reduced in order when the call has succeeded, all or none."""

    messages: Sequence[AddMessage] = ()
    """Put into the conversation behind the tool's answer."""

    suspend: Suspend | None = None
    """Set: the call is not done; a person must decide first."""


_MESSAGE, _QUESTION = TypeAdapter(AddMessage), TypeAdapter(Suspend)

Outcome = Literal["succeeded", "failed", "suspended", "cancelled"]


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What came of a call, as data."""

    outcome: Outcome
    result: Any = None
    actions: Sequence[StateAction] = ()
    messages: Sequence[AddMessage] = ()
    suspend: Suspend | None = None
    duration: int = 0
    """Microseconds."""

    called: bool = False
    """Whether the tool itself gave it."""

    @classmethod
    def failed(cls, problem: str) -> "ToolAnswer":
        """A call that failed, with what the model is told."""
        return cls("failed", {"error": problem})

    def lasting(self, duration: int) -> "ToolAnswer":
        """The same, as the tool gave it, and how long that took."""
        return replace(self, duration=duration, called=True)


class Tool:
    """A function with the schema of its arguments."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        needs_approval: bool | Callable[[dict[str, Any]], bool] = False,
        idempotent: bool = False,
        timeout: float | None = None,
    ) -> None:
        described = parse(inspect.getdoc(function) or "")
        self.name = function.__name__
        self.description = "\n\n".join(
            filter(None, [described.short_description, described.long_description])
        )
        self.is_idempotent = idempotent
        self.timeout = timeout
        self._needs_approval = needs_approval
        self.function = function
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

    def problem_with(self, arguments: Any) -> str | None:
        """Why the arguments do not fit, as the model is told; None if they do."""
        try:
            self._validated(arguments)
        except ToolError as err:
            return str(err)
        return None

    def wants_approval(self, arguments: Any) -> bool:
        """Whether a person must say yes before a call with these arguments."""
        wanted = self._needs_approval
        return wanted(deepcopy(arguments)) if callable(wanted) else wanted

    def announced(self, context: ToolContext, arguments: Any) -> Sequence[StateAction]:
        """What is in the log, durable, before a call with these arguments begins. A pure function of them."""
        return ()

    async def answer(self, context: ToolContext, arguments: Any) -> ToolAnswer:
        """Call the function: what came of it. Whatever it raises is an answer for the model."""
        try:
            with fail_after(self.timeout):
                result = await self.call(context, arguments)
        except ToolError as err:
            return ToolAnswer.failed(in_words(err))
        except TimeoutError as err:
            late = f"no answer within {self.timeout} seconds" if self.timeout else in_words(err)
            return ToolAnswer.failed(f"Execution failed: {late}")
        except Exception as err:
            return ToolAnswer.failed(f"Execution failed: {in_words(err)}")
        if result.suspend:
            return ToolAnswer("suspended", suspend=result.suspend)
        return ToolAnswer("succeeded", result.output, result.actions, result.messages)

    async def call(self, context: ToolContext, arguments: Any) -> ToolResult:
        """Call the function with arguments as the model gave them.

        A plain function that blocks cannot be stopped: when the call is cancelled or late it is left behind
        in its thread, and what it returns is dropped.

        Raises:
            ToolError: the arguments do not fit the schema, or what it returned is not JSON.
            Exception: whatever the function raises.
        """
        given = self._validated(arguments)
        if self._context:
            given = {self._context: context} | given
        if inspect.iscoroutinefunction(self.function):
            returned = await self.function(**given)
        else:
            returned = await run_sync(partial(self.function, **given), abandon_on_cancel=True)
        result = returned if isinstance(returned, ToolResult) else ToolResult(returned)
        try:
            return _kept(result)
        except ValidationError as err:
            raise ToolError(f"the result of {self.name!r} cannot be kept: {brief(err)}") from err
        except (ContentError, ValueError, TypeError) as err:
            raise ToolError(f"the result of {self.name!r} cannot be kept: {err}") from err

    def _validated(self, arguments: Any) -> dict[str, Any]:
        try:
            model = self._arguments.model_validate(arguments)
        except ValidationError as err:
            raise ToolError(f"Invalid arguments: {brief(err)}") from err
        return {field.alias or "": getattr(model, name) for name, field in type(model).model_fields.items()}

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


@overload
def tool(function: Callable[..., Any]) -> Tool: ...
@overload
def tool(
    *,
    needs_approval: bool | Callable[[dict[str, Any]], bool] = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    needs_approval: bool | Callable[[dict[str, Any]], bool] = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Makes a function a tool; also works with parentheses.

    `needs_approval`, or a function of the arguments that says so, puts each call before a person first.
    `idempotent` says that calling it again with the same key does no harm: after a crash it may be.
    `timeout` is in seconds.

    Raises:
        DefinitionError: a parameter has no type hint, or one without a JSON schema, or it is variadic or
            positional-only, or it is the `ToolContext` and not the first.
    """
    made = partial(Tool, needs_approval=needs_approval, idempotent=idempotent, timeout=timeout)
    return made(function) if function else made


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


def _kept(result: ToolResult) -> ToolResult:
    """The result as the log can keep it: what was refused only there would end the run, not the call."""
    return ToolResult(
        _json(result.output),
        list(result.actions),
        [_MESSAGE.validate_python(_json(message)) for message in result.messages],
        None if result.suspend is None else _QUESTION.validate_python(_json(result.suspend)),
    )


def _json(value: Any) -> Any:
    return loads(dumps(to_jsonable_python(value)))


def brief(err: ValidationError) -> str:
    """What is wrong, in a line: each place and its problem."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in err.errors()
    )
