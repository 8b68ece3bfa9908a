"""The generic actions: free-form changes of the state document.

Every action has a path, a JSON pointer relative to its scope. `Set`, `Append` and `Merge` create the objects
that are missing along the path. A value that cannot contain the next token is replaced by an object: a
scalar, null, or an array if the token is no index. The other actions fail if the path does not exist; only
`Delete` then does nothing.
"""

from dataclasses import dataclass, field
from typing import Any, get_args

from ..store.changeset import Scope


@dataclass(frozen=True, slots=True)
class Set:
    """Set the value at a path."""

    path: str
    value: Any
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the value at a path. Later elements of an array move up. The root becomes null."""

    path: str
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Append:
    """Append a value to an array. A missing or null array is created."""

    path: str
    value: Any
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert a value into an array at an index, at most its length."""

    path: str
    index: int
    value: Any
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the first element of an array that equals a value."""

    path: str
    value: Any
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Merge:
    """Set each key of an object. A missing or null object is created. Not recursive."""

    path: str
    value: dict[str, Any]
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Increment:
    """Add to a number. Two integers give a 64-bit integer, any other pair gives a float."""

    path: str
    amount: int | float = 1
    scope: Scope = field(default="thread", kw_only=True)


@dataclass(frozen=True, slots=True)
class Decrement:
    """Subtract from a number. Two integers give a 64-bit integer, any other pair gives a float."""

    path: str
    amount: int | float = 1
    scope: Scope = field(default="thread", kw_only=True)


GenericAction = Set | Delete | Append | Insert | Remove | Merge | Increment | Decrement

GENERIC_ACTIONS: dict[str, type[GenericAction]] = {
    action.__name__: action for action in get_args(GenericAction)
}
