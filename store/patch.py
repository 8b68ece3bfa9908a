"""JSON Patch: apply and diff by structural sharing. Pure.

    apply(a, diff(a, b)) == b      and `a` is unchanged

Source: RFC 6902 (JSON Patch) and RFC 6901 (JSON Pointer). An operation is the plain dict of the RFC, for
example `{"op": "replace", "path": "/city", "value": "Kyoto"}`.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from .document import pointer, same
from .errors import ContentError, PatchError

Operation = dict[str, Any]


def apply(document: Any, operations: Iterable[Operation]) -> Any:
    """Return the document with all operations applied. `document` itself does not change.

    Untouched parts are shared with `document`, not copied.

    Raises:
        PatchError: an operation is malformed, names a missing place, or its test fails.

    Source: RFC 6902, section 5.
    """
    draft = Draft(document)
    draft.apply(operations)
    return draft.document


def diff(a: Any, b: Any) -> list[Operation]:
    """Return operations that turn `a` into `b`; none if they are equal as JSON. Shared parts cost nothing.

    Raises:
        ContentError: a document is too deep to be compared.
    """
    operations: list[Operation] = []
    try:
        _diff(a, b, "", operations)
    except RecursionError as err:
        raise ContentError("too deep to be compared") from err
    return operations


class Draft:
    """A document under change: a container is copied when it is first touched, then changed in place.

    One draft serves one patch (`apply`) or a whole history (a fold): a place that is written ten thousand
    times is copied once. After a `PatchError` the draft is unusable; the original document never changes.
    """

    __slots__ = ("_owned", "document")

    def __init__(self, document: Any) -> None:
        self.document = document
        # The containers copied here, by identity. The reference keeps each alive; otherwise another
        # container could get its id.
        self._owned: dict[int, Any] = {}

    def apply(self, operations: Iterable[Operation]) -> None:
        """Apply operations to the document, in order.

        Raises:
            PatchError: as `apply`, with the index of the operation.
        """
        index, operation = 0, None
        try:
            for operation in operations:
                step = _STEPS.get(operation["op"])
                if step is None:
                    raise _Refused(f"{operation['op']!r} is not an operation of RFC 6902")
                step(self, operation)
                index += 1
        except _Refused as err:
            raise PatchError(str(err), index, operation) from None
        except KeyError as err:
            raise PatchError(f"the operation has no {err}", index, operation) from None
        except TypeError:
            raise PatchError("not an operation of RFC 6902", index, operation) from None

    def _add(self, operation: Operation) -> None:
        self._insert(tokens(operation["path"]), operation["value"])

    def _insert(self, path: tuple[str, ...], value: Any) -> None:
        if not path:
            self.document = value
            return
        parent, token = self._parent(path), path[-1]
        if type(parent) is dict:
            parent[token] = value
        else:
            parent.insert(len(parent) if token == "-" else _index(token, len(parent) + 1, path), value)

    def _replace(self, operation: Operation) -> None:
        path, value = tokens(operation["path"]), operation["value"]
        if not path:
            self.document = value
            return
        parent, token = self._parent(path), path[-1]
        if type(parent) is dict and token in parent:
            parent[token] = value
        else:
            parent[_key(parent, token, path)] = value

    def _remove(self, operation: Operation) -> None:
        self._take(tokens(operation["path"]))

    def _take(self, path: tuple[str, ...]) -> Any:
        if not path:
            raise _Refused("the whole document cannot be removed: replace it")
        parent = self._parent(path)
        return parent.pop(_key(parent, path[-1], path))

    def _move(self, operation: Operation) -> None:
        source, target = tokens(operation["from"]), tokens(operation["path"])
        if source == target:
            self._get(source)
        elif target[: len(source)] == source:
            raise _Refused(f"{pointer(source)!r} cannot be moved into itself")
        else:
            self._insert(target, self._take(source))

    def _copy(self, operation: Operation) -> None:
        target, value = tokens(operation["path"]), self._get(tokens(operation["from"]))
        # The container is in two places now: neither may be changed in place any more.
        self._owned.clear()
        self._insert(target, value)

    def _test(self, operation: Operation) -> None:
        path, expected = tokens(operation["path"]), operation["value"]
        if not _equal(found := self._get(path), expected):
            raise _Refused(f"test failed: {pointer(path)!r} is {found!r}, not {expected!r}")

    def _get(self, path: tuple[str, ...]) -> Any:
        item = self.document
        for token in path:
            item = item[_key(item, token, path)]
        return item

    def _parent(self, path: tuple[str, ...]) -> Any:
        """Return the container of the last token; shared containers on the way are copied first."""
        owned = self._owned
        parent = self.document
        if id(parent) not in owned:
            parent = self.document = self._own(parent, path)
        for token in path[:-1]:
            key: Any = token
            if type(parent) is not dict or token not in parent:
                key = _key(parent, token, path)
            child = parent[key]
            if id(child) not in owned:
                child = parent[key] = self._own(child, path)
            parent = child
        return parent

    def _own(self, container: Any, path: tuple[str, ...]) -> Any:
        if type(container) not in (dict, list):
            raise _Refused(f"the path {pointer(path)!r} leads through a value that is not a container")
        copied = container.copy()
        self._owned[id(copied)] = copied
        return copied


MISSING = object()
"""What `find` returns for a missing value; None is a value."""


def find(document: Any, path: str) -> Any:
    """Return the value at a JSON Pointer; `MISSING` if there is none.

    Raises:
        ValueError: the pointer is malformed, as in `tokens`.
    """
    item = document
    for token in tokens(path):
        if type(item) is dict and token in item:
            item = item[token]
        elif type(item) is list and is_index(token) and len(token) < 20 and int(token) < len(item):
            item = item[int(token)]
        else:
            return MISSING
    return item


class _Refused(ValueError):
    """Why an operation does not fit: `Draft.apply` adds which one."""


_STEPS: dict[str, Callable[[Draft, Operation], None]] = {
    "add": Draft._add,
    "remove": Draft._remove,
    "replace": Draft._replace,
    "move": Draft._move,
    "copy": Draft._copy,
    "test": Draft._test,
}


@lru_cache(maxsize=4096)
def tokens(path: str) -> tuple[str, ...]:
    """Return the reference tokens of a JSON Pointer.

    Raises:
        ValueError: it is not a string, does not begin with '/', or has a '~' that escapes nothing.

    Source: RFC 6901, sections 3 and 4.
    """
    if type(path) is not str:
        raise _Refused(f"the path {path!r} is not a string")
    if not path:
        return ()
    if path[0] != "/":
        raise _Refused(f"the pointer {path!r} does not begin with '/'")
    parts = path[1:].split("/")
    if "~" not in path:
        return tuple(parts)
    if path.count("~") != path.count("~0") + path.count("~1"):
        raise _Refused(f"the pointer {path!r} has a '~' that is neither '~0' nor '~1'")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def is_index(token: str) -> bool:
    """Return whether a token can be an array index: ASCII digits without leading zeros."""
    return token.isascii() and token.isdigit() and (token[0] != "0" or token == "0")


def _key(container: Any, token: str, path: tuple[str, ...]) -> Any:
    """Return the key or index of an existing item."""
    if type(container) is dict:
        if token in container:
            return token
        raise _Refused(f"there is no {token!r} on the path {pointer(path)!r}")
    if type(container) is list:
        return _index(token, len(container), path)
    raise _Refused(f"the path {pointer(path)!r} leads through a value that is not a container")


def _index(token: str, end: int, path: tuple[str, ...]) -> int:
    if not is_index(token):
        raise _Refused(f"{token!r} is not an index of the array on the path {pointer(path)!r}")
    # Longer than any array: int() would raise an error of its own for thousands of digits.
    index = int(token) if len(token) < 20 else end
    if index >= end:
        raise _Refused(f"index {token} is out of bounds ({end}) on the path {pointer(path)!r}")
    return index


def _equal(a: Any, b: Any) -> bool:
    """Return whether values are equal in the sense of `test`: 1 is 1.0, but true is not 1."""
    if type(a) is dict and type(b) is dict:
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if type(a) is list and type(b) is list:
        return len(a) == len(b) and all(map(_equal, a, b))
    return (type(a) is bool) == (type(b) is bool) and bool(a == b)


def _diff(a: Any, b: Any, path: str, operations: list[Operation]) -> None:
    if a is b:
        return
    if type(a) is dict and type(b) is dict:
        _diff_objects(a, b, path, operations)
    elif type(a) is list and type(b) is list:
        _diff_arrays(a, b, path, operations)
    elif not same(a, b):
        operations.append({"op": "replace", "path": path, "value": b})


def _diff_objects(a: dict[str, Any], b: dict[str, Any], path: str, operations: list[Operation]) -> None:
    # Sorted, so that equal documents give equal patches whatever the order of keys.
    for key in sorted(a.keys() - b.keys()):
        operations.append({"op": "remove", "path": path + pointer((key,))})
    for key in sorted(b):
        if key not in a:
            operations.append({"op": "add", "path": path + pointer((key,)), "value": b[key]})
        elif a[key] is not b[key]:
            _diff(a[key], b[key], path + pointer((key,)), operations)


def _diff_arrays(a: Sequence[Any], b: Sequence[Any], path: str, operations: list[Operation]) -> None:
    shorter = min(len(a), len(b))
    start = next((n for n in range(shorter) if not same(a[n], b[n])), shorter)
    end = next((n for n in range(shorter - start) if not same(a[-1 - n], b[-1 - n])), shorter - start)
    changed_a, changed_b = a[start : len(a) - end], b[start : len(b) - end]
    for n, (left, right) in enumerate(zip(changed_a, changed_b, strict=False), start):
        _diff(left, right, f"{path}/{n}", operations)
    for n in range(start + len(changed_a) - 1, start + len(changed_b) - 1, -1):
        operations.append({"op": "remove", "path": f"{path}/{n}"})
    for n, value in enumerate(changed_b[len(changed_a) :], start + len(changed_a)):
        operations.append({"op": "add", "path": f"{path}/{n}", "value": value})
