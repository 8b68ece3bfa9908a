"""Reducers: pure functions `(slice, action) -> slice`, each for one slice of the state.

    class Budget(BaseModel):
        spent: int = 0

    class Spend(Action):
        amount: int

    @reducer("/budget")
    def budget(slice: Budget, action: Spend) -> Budget:
        return Budget(spent=slice.spent + action.amount)

The patch contains the fields that changed, not the whole slice, so that blame and conflicts are precise. Keys
that the model of the slice does not know stay unchanged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

from ..store.changeset import Scope
from ..store.document import dumps, same
from ..store.errors import ActionError, DefinitionError
from ..store.patch import MISSING, Operation, diff, find
from .generic_reduction import put
from .scope import place, route


class Action(BaseModel):
    """A state change that a behavior or a tool asks for. Subclass it with the fields your reducer needs."""

    # Keep NaN, so that the log can refuse it. By default, pydantic writes null instead.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


@dataclass(frozen=True, slots=True)
class Reducer:
    """A reducer function, its types, and the place of its slice."""

    name: str
    """The name, unique within an agent. The log keeps it with every action."""

    slice: type[BaseModel]
    """The model of the slice. Every field needs a default."""

    actions: tuple[type[Action], ...]
    """The actions that the reducer handles."""

    path: str
    """The JSON pointer of the slice, relative to the scope."""

    scope: Scope
    """How long the slice lives."""

    function: Callable[[Any, Any], BaseModel]
    """The pure function."""

    reserved: bool = False
    """Whether the reducer belongs to threadlog and may write to reserved places."""

    def place(self, call_id: str | None) -> str:
        """Return the JSON pointer of the slice in the whole document."""
        return (place if self.reserved else route)(self.scope, self.path, call_id)

    def operations(self, document: Any, action: Action, call_id: str | None) -> list[Operation]:
        """Return the operations of an action, field by field. There are none if it changes nothing.

        Raises:
            ActionError: the state does not fit the model, or the reducer refused the action or failed.
        """
        path = self.place(call_id)
        stored = find(document, path)
        before = self._slice(stored, path)
        old, new = _dump(before), self._reduce(before, action)
        if type(stored) is not dict:
            return [] if same(old, new) else put(document, path, new)
        operations = [_prefix(path, operation) for operation in diff(stored, _overlay(stored, old, new))]
        if not path and not self.reserved and any(op["path"].startswith("/__") for op in operations):
            raise ActionError(f"reducer {self.name!r} changes what threadlog itself keeps at the root")
        return operations

    def _reduce(self, before: BaseModel, action: Action) -> Any:
        """Return the new slice as JSON that the log can keep and the model accepts."""
        try:
            after = self.function(before.model_copy(deep=True), action)
            if not isinstance(after, self.slice):
                raise ActionError(
                    f"reducer {self.name!r} returned {after!r}, which is no {self.slice.__name__}"
                )
            new = _dump(after)
            dumps(new)
            self.slice.model_validate(new)
        except ActionError:
            raise
        except Exception as err:
            raise ActionError(f"reducer {self.name!r} failed on {action!r}: {err!r}") from err
        return new

    def _slice(self, stored: Any, path: str) -> BaseModel:
        try:
            return self.slice.model_validate({} if stored is MISSING or stored is None else stored)
        except ValidationError as err:
            raise ActionError(f"the state at {path!r} is no {self.slice.__name__}: {err}") from err


def _dump(slice: BaseModel) -> Any:
    return slice.model_dump(mode="json", by_alias=True, warnings=False)


def _overlay(stored: Any, old: Any, new: Any) -> Any:
    """Return the stored value with the changes between the old and the new slice, and no others."""
    if same(old, new):
        return stored
    if not type(stored) is type(old) is type(new) is dict:
        return new
    kept = {key: value for key, value in stored.items() if key in new or key not in old}
    return kept | {
        key: _overlay(stored[key], old.get(key), value) if key in stored else value
        for key, value in new.items()
        if key in stored or key not in old or not same(old[key], value)
    }


def _prefix(path: str, operation: Operation) -> Operation:
    return operation | {"path": path + operation["path"]}


def reducer(
    path: str, *, scope: Scope = "thread", name: str | None = None
) -> Callable[[Callable[[Any, Any], BaseModel]], Reducer]:
    """Turn a function into a reducer of the slice at a path. The types come from its annotations.

    Raises:
        DefinitionError: the annotations do not name a model and actions.
    """

    def decorate(function: Callable[[Any, Any], BaseModel]) -> Reducer:
        slice_type, actions = _annotations(function)
        return Reducer(name or function.__name__, slice_type, actions, path, scope, function)

    return decorate


def _annotations(
    function: Callable[[Any, Any], BaseModel],
) -> tuple[type[BaseModel], tuple[type[Action], ...]]:
    hints = get_type_hints(function)
    hints.pop("return", None)
    kinds = list(hints.values())
    actions = get_args(kinds[1]) or (kinds[1],) if len(kinds) == 2 else ()
    if not actions or not all(isinstance(kind, type) for kind in (kinds[0], *actions)):
        raise DefinitionError(
            f"annotate both parameters of {function.__qualname__}: (slice: Model, action: Action)"
        )
    if not issubclass(kinds[0], BaseModel) or not all(issubclass(action, Action) for action in actions):
        raise DefinitionError(f"{function.__qualname__} needs a pydantic model and subclasses of Action")
    return kinds[0], actions
