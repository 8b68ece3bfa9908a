"""Actions to records, records to patches. Pure.

    action -> ActionRecord          the intent as data: it is in the log
    (state, ActionRecord) -> patch  the same function live and when a log is checked

A batch is reduced on a rolling state, all or nothing: each action sees what the one before it did.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, NamedTuple

from pydantic import ValidationError

from ..store.changeset import ActionRecord, Scope, TrackedPatch
from ..store.document import dumps, loads
from ..store.errors import ActionError, ContentError, DefinitionError
from ..store.patch import Draft, Operation
from .decision import DECISION_REDUCER
from .generic import GENERIC_ACTIONS, GenericAction
from .generic_reduction import reduce_generic
from .reducer import Action, Reducer
from .remote import REMOTE_REDUCER
from .run import RUN_REDUCER
from .scope import route
from .tool_call import TOOL_CALL_REDUCER, TOOL_CALLS_REDUCER

GENERIC = "generic"
StateAction = Action | GenericAction

_KERNEL = (RUN_REDUCER, TOOL_CALL_REDUCER, TOOL_CALLS_REDUCER, DECISION_REDUCER, REMOTE_REDUCER)
"""The reducers of the loop: only threadlog may use their actions."""


class Reduction(NamedTuple):
    """A reduced batch: its records, its patches, and the state after it."""

    actions: tuple[ActionRecord, ...]
    patches: tuple[TrackedPatch, ...]
    state: Any


class Reducers:
    """The reducers in force, threadlog's own and the user's, by name and by action."""

    def __init__(self, reducers: Iterable[Reducer] = ()) -> None:
        self._by_name: dict[str, Reducer] = {}
        self._by_action: dict[type[Action], Reducer] = {}
        for reducer in (*_KERNEL, *reducers):
            self._add(reducer)

    def _add(self, reducer: Reducer) -> None:
        known = self._by_name.setdefault(reducer.name, reducer)
        if known is not reducer or reducer.name == GENERIC:
            raise DefinitionError(f"two reducers are called {reducer.name!r}: name one of them differently")
        for action in reducer.actions:
            if self._by_action.setdefault(action, reducer) is not reducer:
                raise DefinitionError(f"two reducers handle {action.__name__}: give each its own actions")

    def __contains__(self, name: object) -> bool:
        return name == GENERIC or name in self._by_name

    def record(self, action: StateAction, *, source: str, call_id: str | None = None) -> ActionRecord:
        """Return the action as data. `call_id` is the tool call of its phase, if any.

        Raises:
            ActionError: no reducer understands it, or it holds what is not JSON.
        """
        name, scope = self._route(action, source)
        try:
            # In the form in which the log returns it, with sorted keys: reducers always see the same.
            payload = loads(dumps(_payload(action)))
            return ActionRecord(
                reducer=name,
                action=type(action).__name__,
                payload=payload,
                scope=scope,
                call_id=call_id if scope == "tool_call" else None,
                source=source,
            )
        except (ValueError, ContentError) as err:
            raise ActionError(f"the log cannot store {action!r}: {err}") from err

    def _route(self, action: StateAction, source: str) -> tuple[str, Scope]:
        """Return the name of the reducer that understands the action, and the scope of the action."""
        if isinstance(action, GenericAction):
            return GENERIC, action.scope
        reducer = self._by_action.get(type(action))
        if reducer is None:
            raise ActionError(f"no reducer here understands {type(action).__name__}: add it to the agent's")
        if reducer in _KERNEL and source.startswith(("behavior:", "tool:")):
            raise ActionError(f"{type(action).__name__} is an action of threadlog itself")
        return reducer.name, reducer.scope

    def action(self, record: ActionRecord) -> StateAction:
        """Return the action of a record.

        Raises:
            ActionError: no reducer understands it.
        """
        if record.reducer == GENERIC:
            return _generic(record)
        reducer = self._by_name.get(record.reducer)
        if reducer is None:
            raise ActionError(f"unknown reducer: {record.reducer!r}")
        kinds = {kind.__name__: kind for kind in reducer.actions}
        if record.action not in kinds:
            raise ActionError(f"reducer {record.reducer!r} does not understand {record.action!r}")
        try:
            return kinds[record.action].model_validate(record.payload)
        except ValidationError as err:
            raise ActionError(f"the payload of {record.action!r} does not fit today's class: {err}") from err

    def operations(self, state: Any, record: ActionRecord) -> list[Operation]:
        """Return the operations of a recorded action on a state; none if it changes nothing.

        Raises:
            ActionError: no reducer understands it, or it does not fit the state.
        """
        action = self.action(record)
        if isinstance(action, GenericAction):
            return reduce_generic(state, action, route(record.scope, action.path, record.call_id))
        return self._by_name[record.reducer].operations(state, action, record.call_id)

    def reduce(self, state: Any, records: Iterable[ActionRecord], *, first: int = 0) -> Reduction:
        """Reduce a batch on a rolling state, all or nothing. `first` is the index of the first action.

        Raises:
            ActionError: an action does not fit; `state` is unchanged.
        """
        actions, patches, draft = tuple(records), [], Draft(state)
        for index, record in enumerate(actions, first):
            operations = self.operations(draft.document, record)
            if operations:
                patch = TrackedPatch(operations=tuple(operations), source=record.source, action=index)
                draft.apply(patch.operations)
                patches.append(patch)
        return Reduction(actions, tuple(patches), draft.document)


def _payload(action: StateAction) -> dict[str, Any]:
    if isinstance(action, Action):
        return action.model_dump(mode="json", by_alias=True)
    return {field.name: getattr(action, field.name) for field in fields(action) if field.name != "scope"}


def _generic(record: ActionRecord) -> GenericAction:
    payload: dict[str, Any] = record.payload
    try:
        return GENERIC_ACTIONS[record.action](**payload, scope=record.scope)
    except (KeyError, TypeError) as err:
        raise ActionError(f"unknown generic action {record.action!r}: {err}") from err
