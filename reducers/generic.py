"""The generic actions: free-form changes of the state document, and their reduction to RFC 6902. Pure.

A path is a JSON pointer. On its way, `Set`, `Append` and `Merge` make the objects that are missing and
put an object in the place of whatever else stands there and cannot be walked: a scalar, null, or an array
whose next token is no index. Everything else refuses what is not there, except `Delete`, which has
nothing to do then. An action that changes nothing gives no operation.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, assert_never

from ..store.changeset import Scope
from ..store.document import pointer, same
from ..store.errors import ActionError
from ..store.patch import MISSING, Operation, diff, find, is_index, tokens


@dataclass(frozen=True, slots=True)
class _Generic:
    path: str
    """A JSON pointer within the scope."""

    scope: Scope = field(default="thread", kw_only=True)
    """Which part of the state is meant."""


@dataclass(frozen=True, slots=True)
class Set(_Generic):
    """Put a value at a path."""

    value: Any


@dataclass(frozen=True, slots=True)
class Delete(_Generic):
    """Take away what is at a path; later elements of an array move up. The root becomes null."""


@dataclass(frozen=True, slots=True)
class Append(_Generic):
    """Put a value behind the last one of an array; a missing or null array is made."""

    value: Any


@dataclass(frozen=True, slots=True)
class Insert(_Generic):
    """Put a value into an array at an index, up to its length."""

    index: int
    value: Any


@dataclass(frozen=True, slots=True)
class Remove(_Generic):
    """Take the first element that equals a value out of an array."""

    value: Any


@dataclass(frozen=True, slots=True)
class Merge(_Generic):
    """Set each key of an object; a missing or null object is made. Not recursive."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Increment(_Generic):
    """Add to a number that is there. Two integers give one of 64 bits, anything else a float."""

    amount: int | float = 1


@dataclass(frozen=True, slots=True)
class Decrement(_Generic):
    """Subtract from a number that is there. Two integers give one of 64 bits, anything else a float."""

    amount: int | float = 1


GenericAction = Set | Delete | Append | Insert | Remove | Merge | Increment | Decrement

GENERIC_ACTIONS: dict[str, type[GenericAction]] = {
    action.__name__: action for action in (Set, Delete, Append, Insert, Remove, Merge, Increment, Decrement)
}


def reduce_generic(document: Any, action: GenericAction, path: str) -> list[Operation]:
    """The operations that do what the action asks, at a path into the whole document.

    Raises:
        ActionError: the place does not exist, or holds a value of another type.
    """
    if not path and isinstance(action, Set | Delete | Merge):
        return _at_root(document, action)
    match action:
        case Set():
            return put(document, path, action.value)
        case Delete():
            return _delete(document, path)
        case Append():
            return _append(document, path, action.value)
        case Insert():
            return _insert(document, path, action.index, action.value)
        case Remove():
            return _remove(document, path, action.value)
        case Merge():
            return _merge(document, path, action.value)
        case Increment() | Decrement():
            return _add(document, path, action)
    assert_never(action)


def put(document: Any, path: str, value: Any) -> list[Operation]:
    """Operations that put a value at a path: as far as the document goes; what lies beyond is made.

    Raises:
        ActionError: an index on the way is out of bounds.
    """
    way = tokens(path)
    item = document
    for depth, token in enumerate(way):
        here = pointer(way[:depth])
        if type(item) is list and is_index(token):
            if int(token) >= len(item):
                raise ActionError(f"index {token} out of bounds (len: {len(item)}) at path {path!r}")
            item = item[int(token)]
        elif type(item) is dict and token in item:
            item = item[token]
        elif type(item) is dict:
            return [
                {"op": "add", "path": here + pointer((token,)), "value": _nested(way[depth + 1 :], value)}
            ]
        else:
            return [{"op": "replace", "path": here, "value": _nested(way[depth:], value)}]
    return [] if same(item, value) else [{"op": "replace", "path": path, "value": value}]


def _at_root(document: Any, action: Set | Delete | Merge) -> list[Operation]:
    """The user's part of the document: what threadlog keeps in it stays."""
    fields: dict[str, Any] = document if type(document) is dict else {}
    kept = {key: value for key, value in fields.items() if key.startswith("__")}
    value: Any = {} if isinstance(action, Delete) and kept else getattr(action, "value", None)
    if type(value) is dict and any(key.startswith("__") for key in value):
        raise ActionError("keys that begin with '__' are kept by threadlog itself: choose another name")
    if isinstance(action, Merge):
        return _merge(document, "", value)
    if type(value) is not dict and kept:
        raise ActionError("the root must stay an object: threadlog keeps the run's record in it")
    return diff(document, value | kept if kept else value)


def _nested(way: tuple[str, ...], value: Any) -> Any:
    for token in reversed(way):
        value = {token: value}
    return value


def _delete(document: Any, path: str) -> list[Operation]:
    return [] if find(document, path) is MISSING else [{"op": "remove", "path": path}]


def _append(document: Any, path: str, value: Any) -> list[Operation]:
    array = find(document, path)
    if array is MISSING or array is None:
        return put(document, path, [value])
    if type(array) is not list:
        raise ActionError(f"append requires array value at {path!r}")
    return [{"op": "add", "path": f"{path}/{len(array)}", "value": value}]


def _insert(document: Any, path: str, index: int, value: Any) -> list[Operation]:
    array = _array(document, path)
    if type(index) is not int or not 0 <= index <= len(array):
        raise ActionError(f"index {index} out of bounds (len: {len(array)}) at path {path!r}")
    return [{"op": "add", "path": f"{path}/{index}", "value": value}]


def _remove(document: Any, path: str, value: Any) -> list[Operation]:
    for index, item in enumerate(_array(document, path)):
        if same(item, value):
            return [{"op": "remove", "path": f"{path}/{index}"}]
    return []


def _merge(document: Any, path: str, value: Any) -> list[Operation]:
    target = find(document, path)
    if type(value) is not dict or not (target is MISSING or target is None or type(target) is dict):
        raise ActionError(f"merge requires object value at {path!r}")
    if type(target) is not dict:
        return put(document, path, value)
    return [
        {"op": "replace" if key in target else "add", "path": path + pointer((key,)), "value": item}
        for key, item in sorted(value.items())
        if key not in target or not same(target[key], item)
    ]


def _add(document: Any, path: str, action: Increment | Decrement) -> list[Operation]:
    number, word = find(document, path), type(action).__name__.lower()
    if number is MISSING:
        raise ActionError(f"path not found: {path!r}")
    if type(number) not in (int, float) or type(action.amount) not in (int, float):
        raise ActionError(f"numeric operation requires number at {path!r}")
    total = number + action.amount if isinstance(action, Increment) else number - action.amount
    if type(total) is float and not isfinite(total):
        raise ActionError(f"invalid operation: {word} produced non-finite value at {path!r}")
    if type(total) is int and not -(2**63) <= total < 2**63:
        sign = "+" if isinstance(action, Increment) else "-"
        raise ActionError(f"invalid operation: {word} overflow at {path!r}: {number} {sign} {action.amount}")
    return [] if same(total, number) else [{"op": "replace", "path": path, "value": total}]


def _array(document: Any, path: str) -> list[Any]:
    found = find(document, path)
    if found is MISSING:
        raise ActionError(f"path not found: {path!r}")
    if type(found) is not list:
        raise ActionError(f"type mismatch at {path!r}: expected array, found {_type_name(found)}")
    return found


_TYPE_NAMES = {"NoneType": "null", "bool": "boolean", "int": "number", "float": "number"} | {
    "str": "string",
    "list": "array",
    "dict": "object",
}


def _type_name(value: Any) -> str:
    return _TYPE_NAMES[type(value).__name__]
