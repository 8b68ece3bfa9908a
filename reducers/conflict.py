"""Conflicts between parallel tool calls: which writes of one round cannot both stand. Pure.

An action is a function of state, so the action of a call that finishes later is reduced again on what
the earlier ones left: two `Increment`s both count. A raw write (`Set`, `Delete` and `Insert`,
which mean a place as it was seen) is no such function: if it overlaps what another call of the
round wrote, the later call's state change is refused.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..store.changeset import ActionRecord, TrackedPatch
from ..store.patch import tokens
from .reduce import GENERIC
from .scope import route

RAW = frozenset({"Set", "Delete", "Insert"})


class Write(NamedTuple):
    """A place in the state that a call of the round wrote."""

    pointer: str
    raw: bool


class Conflict(NamedTuple):
    """Two calls of one round that wrote overlapping places."""

    pointer: str
    earlier: str
    later: str

    def __str__(self) -> str:
        return f"{self.pointer!r} was written by the calls {self.earlier!r} and {self.later!r} of one round"


def writes(actions: Iterable[ActionRecord], patches: Iterable[TrackedPatch]) -> list[Write]:
    """What a call wrote: the pointers of its operations, and the whole place that a raw action is about."""
    records = list(actions)
    raw = [_place(record) for record in records if record.reducer == GENERIC and record.action in RAW]
    return [Write(pointer, raw=True) for pointer in raw] + [
        Write(str(operation["path"]), raw=False) for patch in patches for operation in patch.operations
    ]


def _place(record: ActionRecord) -> str:
    return route(record.scope, str(record.payload["path"]), record.call_id)


def conflict(call_id: str, wanted: Iterable[Write], round: Mapping[str, list[Write]]) -> Conflict | None:
    """The first conflict of a call's writes with those of the calls that finished before it."""
    for write in wanted:
        for other, theirs in round.items():
            for earlier in theirs:
                if (write.raw or earlier.raw) and _overlap(write.pointer, earlier.pointer):
                    return Conflict(min(write.pointer, earlier.pointer, key=len), other, call_id)
    return None


def _overlap(a: str, b: str) -> bool:
    left, right = tokens(a), tokens(b)
    shared = min(len(left), len(right))
    return left[:shared] == right[:shared]
