"""Generic actions to RFC 6902 operations. Pure. An action that changes nothing gives no operation."""

from math import isfinite
from typing import Any, assert_never

from ..store.document import pointer, same
from ..store.errors import ActionError
from ..store.patch import MISSING, Operation, diff, find, is_index, tokens
from .generic import (
    Append,
    Decrement,
    Delete,
    GenericAction,
    Increment,
    Insert,
    Merge,
    Remove,
    Set,
)


def reduce_generic(document: Any, action: GenericAction, path: str) -> list[Operation]:
    """Return the operations of an action at a path into the whole document.

    Raises:
        ActionError: the path does not exist, or the value there has another type.
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
    """Return the operations that set the value at a path. Missing objects along the path are created.

    Raises:
        ActionError: an index along the path is out of bounds.
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
            return [{"op": "add", "path": here + pointer((token,)), "value": _nest(way[depth + 1 :], value)}]
        else:
            return [{"op": "replace", "path": here, "value": _nest(way[depth:], value)}]
    return [] if same(item, value) else [{"op": "replace", "path": path, "value": value}]


def _at_root(document: Any, action: Set | Delete | Merge) -> list[Operation]:
    """Change the user's part of the document. The keys of threadlog itself stay."""
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


def _nest(way: tuple[str, ...], value: Any) -> Any:
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
