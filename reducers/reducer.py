"""Reducers: pure functions `(slice, action) -> slice`, each bound to a place in the state. Pure.

    class Budget(BaseModel):
        spent: int = 0

    class Spend(Action):
        amount: int

    @reducer("/budget")
    def budget(slice: Budget, action: Spend) -> Budget:
        return Budget(spent=slice.spent + action.amount)

The patch is the difference of fields between the slice before and after, not the whole slice: so blame
and conflicts are found field by field. Keys that the slice does not know are left as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

from ..store.changeset import Scope
from ..store.document import dumps, same
from ..store.errors import ActionError, DefinitionError
from ..store.patch import MISSING, Operation, diff, find
from .generic import put
from .scope import place, route


class Action(BaseModel):
    """What a behavior or a tool asks for, as data. Subclass it with the fields your reducer needs."""

    # NaN as it is, to be refused: pydantic would write null in its place.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


@dataclass(frozen=True, slots=True)
class Reducer:
    """A reducer, with the types it works on and the place it is bound to."""

    name: str
    """Unique among the reducers of an agent; written into the log with every action."""

    slice: type[BaseModel]
    """The model of the part of the state it sees. It must be valid without any field given."""

    actions: tuple[type[Action], ...]
    """The actions it understands."""

    path: str
    """The slice's JSON pointer within the scope."""

    scope: Scope
    """How long the slice lives."""

    function: Callable[[Any, Any], BaseModel]
    """The pure function itself."""

    reserved: bool = False
    """Whether it is threadlog's own, and may write where users may not."""

    def place(self, call_id: str | None) -> str:
        """Where the slice is in the whole document."""
        return (place if self.reserved else route)(self.scope, self.path, call_id)

    def operations(self, document: Any, action: Action, call_id: str | None) -> list[Operation]:
        """The field differences that the action makes; none when it changes nothing.

        Raises:
            ActionError: the slice does not fit its model, or the reducer refused or failed.
        """
        path = self.place(call_id)
        stored = find(document, path)
        before = self._slice(stored, path)
        old, new = _dumped(before), self._reduced(before, action)
        if type(stored) is not dict:
            return [] if same(old, new) else put(document, path, new)
        operations = [_below(path, operation) for operation in diff(stored, _overlaid(stored, old, new))]
        if not path and not self.reserved and any(op["path"].startswith("/__") for op in operations):
            raise ActionError(f"reducer {self.name!r} changes what threadlog itself keeps at the root")
        return operations

    def _reduced(self, before: BaseModel, action: Action) -> Any:
        """What the function makes of the slice: JSON that the log can keep, and again a valid slice."""
        try:
            after = self.function(before.model_copy(deep=True), action)
            if not isinstance(after, self.slice):
                raise ActionError(
                    f"reducer {self.name!r} returned {after!r}, which is no {self.slice.__name__}"
                )
            new = _dumped(after)
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


def _dumped(slice: BaseModel) -> Any:
    return slice.model_dump(mode="json", by_alias=True, warnings=False)


def _overlaid(stored: Any, old: Any, new: Any) -> Any:
    """What is stored, with the difference between the old slice and the new one and nothing else."""
    if same(old, new):
        return stored
    if not type(stored) is type(old) is type(new) is dict:
        return new
    kept = {key: value for key, value in stored.items() if key in new or key not in old}
    return kept | {
        key: _overlaid(stored[key], old.get(key), value) if key in stored else value
        for key, value in new.items()
        if key in stored or key not in old or not same(old[key], value)
    }


def _below(path: str, operation: Operation) -> Operation:
    return operation | {"path": path + operation["path"]}


def reducer(
    path: str, *, scope: Scope = "thread", name: str | None = None
) -> Callable[[Callable[[Any, Any], BaseModel]], Reducer]:
    """Makes a function a reducer of the slice at a path; the types come from its annotations.

    Raises:
        DefinitionError: the annotations do not say which slice and which actions it is for.
    """

    def decorate(function: Callable[[Any, Any], BaseModel]) -> Reducer:
        slice_type, actions = _annotated(function)
        return Reducer(name or function.__name__, slice_type, actions, path, scope, function)

    return decorate


def _annotated(function: Callable[[Any, Any], BaseModel]) -> tuple[type[BaseModel], tuple[type[Action], ...]]:
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
