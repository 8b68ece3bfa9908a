"""JSON values: which ones the log can store, their canonical bytes, and equality.

A value is `None`, `bool`, a 64-bit `int`, a finite `float`, `str`, `list` or `dict` with `str` keys. Any
other value would not survive unchanged and is refused before anything is written.
"""

from collections.abc import Iterable
from json import JSONDecoder
from math import isfinite
from typing import Any, NoReturn

import orjson

from .errors import ContentError

MAX_DEPTH = 128
"""The maximum nesting of a document. Deeper ones overrun the parsers that must read them back."""

RECORD_DEPTH = 8
"""The levels that records add around the values they hold."""

MAX_BYTES = 16 * 2**20
"""The maximum bytes of canonical JSON of one changeset, and of one state document."""

# orjson would convert some other values (dates, dataclasses): they go to `_refuse` instead. Sorted keys
# give equal values equal bytes.
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(value: Any, *, limit: int = MAX_BYTES, record: bool = False) -> bytes:
    """Return the canonical bytes of a value: equal JSON has equal bytes, whatever the order of keys.

    With `record` the value is the fields of a record: a tuple may stand for a list, and the levels that
    records add are allowed on top.

    Raises:
        ContentError: the value would not survive unchanged, or is too deep or too large.
    """
    try:
        encoded = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, RecursionError) as err:
        refuse_unrepresentable(value, tuples=record)
        raise ContentError(f"not JSON: {err}") from err
    # orjson writes NaN as null, a tuple as a list, and enums and UUIDs as their values: the slow walk is
    # needed only where the result differs. In a record pydantic lets nothing of this pass but NaN.
    is_suspect = b"null" in encoded if record else orjson.loads(encoded) != value
    if is_suspect:
        refuse_unrepresentable(value, tuples=record)
    if len(encoded) > limit:
        raise ContentError(f"{len(encoded)} bytes of JSON are more than the limit of {limit}")
    levels = MAX_DEPTH + RECORD_DEPTH if record else MAX_DEPTH
    # A document is at most as deep as it has brackets: counting them avoids nearly every walk.
    if encoded.count(b"{") + encoded.count(b"[") > levels and depth(orjson.loads(encoded), levels) > levels:
        raise ContentError(f"nested deeper than {MAX_DEPTH} levels")
    return encoded


def loads(encoded: bytes) -> Any:
    """Return the value of bytes that `dumps` made.

    Raises:
        ContentError: the bytes are not JSON.
    """
    try:
        return orjson.loads(encoded)
    except orjson.JSONDecodeError as err:
        raise ContentError(f"not JSON: {err}") from err


def parse(text: str) -> Any:
    """Parse JSON text from outside; stricter than most parsers, because the log is.

    Raises:
        ContentError: invalid JSON, a repeated key, NaN or infinity, a number beyond 64 bits, too deep.
    """
    try:
        value = _STRICT.decode(text)
    except (ValueError, RecursionError) as err:
        # Not only JSONDecodeError: numbers of thousands of digits raise a plain ValueError.
        raise ContentError(f"not JSON: {err}") from err
    refuse_unrepresentable(value)
    return value


def refuse_unrepresentable(value: Any, *, tuples: bool = False) -> None:
    """Raise unless the log can store `value` exactly; with `tuples` a tuple may stand for a list.

    Raises:
        ContentError: naming the first value that it cannot store.
    """
    todo: list[tuple[Any, tuple[str | int, ...]]] = [(value, ())]
    while todo:
        item, path = todo.pop()
        if tuples and type(item) is tuple:
            item = list(item)
        if problem := _problem(item, len(path)):
            raise ContentError(problem, pointer(path))
        todo.extend((child, (*path, key)) for key, child in _children(item))


def depth(value: Any, most: int = MAX_DEPTH) -> int:
    """Return the levels of nesting: 0 for a scalar, 1 for a flat list or dict. Stops counting past `most`."""
    if type(value) not in _CONTAINERS:
        return 0
    level, row = 0, [value]
    while (row := [item for item in row if type(item) in _CONTAINERS]) and level <= most:
        level += 1
        row = [child for item in row for child in (item.values() if type(item) is dict else item)]
    return level


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal as JSON.

    `True`, `1`, `1.0` and `-0.0` are four values; the order of keys is ignored.
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) is dict:
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if type(a) is list:
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is float:
        return repr(a) == repr(b)
    return bool(a == b)


def pointer(tokens: Iterable[str | int]) -> str:
    """Return the JSON Pointer of reference tokens. Source: RFC 6901, section 3."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def _children(item: Any) -> Iterable[tuple[str | int, Any]]:
    if type(item) is dict:
        return item.items()
    return enumerate(item) if type(item) is list else ()


def _problem(item: Any, level: int) -> str | None:
    match item:
        case None | bool():
            return None
        case int():
            return None if -(2**63) <= item < 2**64 else f"the integer {item} is beyond 64 bits"
        case float():
            return None if isfinite(item) else f"{item} is not a JSON number"
        case str():
            return _text_problem(item)
        case dict() | list() if level >= MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        case dict():
            return next(filter(None, map(_key_problem, item)), None)
        case list():
            return None
    return f"{type(item).__name__} is not a JSON type"


def _key_problem(key: Any) -> str | None:
    return _text_problem(key) if isinstance(key, str) else f"the key {key!r} is not a string"


def _text_problem(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{text!r} has half of a surrogate pair"
    return None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for n, (key, _) in enumerate(pairs) if any(key == k for k, _ in pairs[:n]))
        raise ContentError(f"the key {twice!r} is given twice")
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ContentError(f"{name} is not a JSON number")


_CONTAINERS = (dict, list)
_STRICT = JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
