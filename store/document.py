"""JSON documents: what may go into the log, how it becomes bytes, and when two values are the same.

A value is `None`, `bool`, `int` of 64 bits, finite `float`, `str`, `list` or `dict` with `str` keys.
Whatever would not come back as it went in is refused here, before anything is written.
"""

from collections.abc import Iterable
from json import JSONDecoder
from math import isfinite
from typing import Any, NoReturn

import orjson

from .errors import ContentError

MAX_DEPTH = 128
"""Levels of nesting a document may have. Deeper ones overrun the parsers that must read them back."""

RECORD_DEPTH = 8
"""Levels that records add around the values they hold."""

MAX_BYTES = 16 * 2**20
"""Bytes of canonical JSON that one changeset, and one state document, may have."""

# Everything that orjson would turn into something else on the way (dates, dataclasses) is handed to
# `_refuse` instead; sorted keys make equal values equal bytes.
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(value: Any, *, limit: int = MAX_BYTES, record: bool = False) -> bytes:
    """The canonical bytes of a value: values equal as JSON have equal bytes, key order aside.

    With `record` the value is the fields of a record: a tuple may stand for a list in it, and it may be
    as much deeper as records nest around the values they hold.

    Raises:
        ContentError: the value would not come back as it is, or is too deep or too large.
    """
    try:
        encoded = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, RecursionError) as err:
        refuse_unrepresentable(value, tuples=record)
        raise ContentError(f"not JSON: {err}") from err
    # orjson writes NaN as null, a tuple as a list, an enum and a UUID as what they stand for: the slow walk
    # is needed where what it wrote differs. In a record pydantic let nothing of this pass but NaN.
    is_suspect = b"null" in encoded if record else orjson.loads(encoded) != value
    if is_suspect:
        refuse_unrepresentable(value, tuples=record)
    if len(encoded) > limit:
        raise ContentError(f"{len(encoded)} bytes of JSON are more than the limit of {limit}")
    levels = MAX_DEPTH + RECORD_DEPTH if record else MAX_DEPTH
    # No document is deeper than its brackets are many: counting them spares nearly all the walk.
    if encoded.count(b"{") + encoded.count(b"[") > levels and depth(orjson.loads(encoded), levels) > levels:
        raise ContentError(f"nested deeper than {MAX_DEPTH} levels")
    return encoded


def loads(encoded: bytes) -> Any:
    """The value of bytes that `dumps` made.

    Raises:
        ContentError: the bytes are not JSON.
    """
    try:
        return orjson.loads(encoded)
    except orjson.JSONDecodeError as err:
        raise ContentError(f"not JSON: {err}") from err


def parse(text: str) -> Any:
    """The value of JSON text from outside; stricter than most parsers, because the log is.

    Raises:
        ContentError: no JSON, a key given twice, NaN or infinity, a number beyond 64 bits, too deep.
    """
    try:
        value = _STRICT.decode(text)
    except (ValueError, RecursionError) as err:
        # Not only JSONDecodeError: thousands of digits are refused with a plain ValueError.
        raise ContentError(f"not JSON: {err}") from err
    refuse_unrepresentable(value)
    return value


def refuse_unrepresentable(value: Any, *, tuples: bool = False) -> None:
    """Pass if the log can keep `value` exactly; with `tuples` a tuple may stand for a list.

    Raises:
        ContentError: naming the first place that it cannot keep.
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
    """Levels of nesting: 0 for a scalar, 1 for a flat list or dict. Stops counting past `most`."""
    if type(value) not in _CONTAINERS:
        return 0
    level, row = 0, [value]
    while (row := [item for item in row if type(item) in _CONTAINERS]) and level <= most:
        level += 1
        row = [child for item in row for child in (item.values() if type(item) is dict else item)]
    return level


def same(a: Any, b: Any) -> bool:
    """Equal as JSON: `True`, `1`, `1.0` and `-0.0` are four values, key order is none."""
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
    """The JSON pointer of reference tokens. Source: RFC 6901, section 3."""
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
