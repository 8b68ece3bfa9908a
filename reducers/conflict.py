"""Conflicts between parallel tool calls of one round. Pure.

Most actions are functions of the state. The actions of each call are reduced on the state that earlier calls
have left, so two `Increment`s both count. Raw writes are different: `Set`, `Delete` and `Insert` refer to a
place as the tool has seen it. If a raw write overlaps a write of another call in the round, the state change
of the call that finishes later is refused.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..store.changeset import ActionRecord, TrackedPatch
from ..store.patch import tokens
from .reduce import GENERIC
from .scope import route

RAW = frozenset({"Set", "Delete", "Insert"})


class Write(NamedTuple):
    """A place in the state that a call wrote."""

    pointer: str
    raw: bool


class Conflict(NamedTuple):
    """Overlapping writes of two calls in one round."""

    pointer: str
    earlier: str
    later: str

    def __str__(self) -> str:
        return f"{self.pointer!r} was written by the calls {self.earlier!r} and {self.later!r} of one round"


def writes(actions: Iterable[ActionRecord], patches: Iterable[TrackedPatch]) -> list[Write]:
    """Return the writes of a call: the paths of its operations, and the paths of its raw actions."""
    records = list(actions)
    raw = [_place(record) for record in records if record.reducer == GENERIC and record.action in RAW]
    return [Write(pointer, raw=True) for pointer in raw] + [
        Write(str(operation["path"]), raw=False) for patch in patches for operation in patch.operations
    ]


def _place(record: ActionRecord) -> str:
    return route(record.scope, str(record.payload["path"]), record.call_id)


def conflict(call_id: str, wanted: Iterable[Write], round: Mapping[str, list[Write]]) -> Conflict | None:
    """Return the first conflict between the writes of a call and those of calls that finished earlier."""
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
