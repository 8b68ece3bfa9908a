"""A disk whose power fails: what was flushed is there; of what was not, anything may be there, or nothing.

It follows the calls that faults.c has recorded. A write counts by sectors of 512 bytes, each of which is
there or not; a file that was made or removed is so only once its folder was flushed.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, get_args

SECTOR = 512
HEAD = struct.Struct("4q")

How = Literal["none of it", "all of it", "the first of it", "any of it"]
HOWS: tuple[How, ...] = ("none of it", "all of it", "the first of it", "any of it")
"""What of the things that were not flushed is on the disk."""

T = TypeVar("T")


Kind = Literal["w", "t", "s", "o", "u"]
KINDS: dict[int, Kind] = {ord(kind): kind for kind in get_args(Kind)}


class Call(NamedTuple):
    """One call on a file: written, truncated, synced, opened anew or unlinked."""

    what: Kind
    file: str
    offset: int
    data: bytes


def recorded(path: Path) -> Iterator[Call]:
    """The calls, in order."""
    with path.open("rb") as file:
        while head := file.read(HEAD.size):
            what, name, offset, length = HEAD.unpack(head)
            text, kind = file.read(name).decode(), KINDS[what]
            yield Call(kind, text, offset, file.read(length) if kind == "w" else b"")


@dataclass
class File:
    """The bytes that are surely there, and what was done to them since."""

    flushed: bytearray = field(default_factory=bytearray)
    since: list[Call] = field(default_factory=list)

    def after(self, kept: Callable[[list[Call]], list[Call]]) -> bytes:
        content = bytearray(self.flushed)
        for call in kept(list(sectors(self.since))):
            change(content, call)
        return bytes(content)

    def flush(self) -> None:
        for call in self.since:
            change(self.flushed, call)
        self.since.clear()


def change(content: bytearray, call: Call) -> None:
    if call.what == "t":
        del content[call.offset :]
    if len(content) < call.offset:
        content.extend(bytes(call.offset - len(content)))
    if call.what == "w":
        content[call.offset : call.offset + len(call.data)] = call.data


def sectors(calls: list[Call]) -> Iterator[Call]:
    """Each write as the parts that are on the disk or are not."""
    for call in calls:
        start = 0
        while start < len(call.data):
            end = start + SECTOR - (call.offset + start) % SECTOR
            yield call._replace(offset=call.offset + start, data=call.data[start:end])
            start = end
        if call.what == "t":
            yield call


class Disk:
    """The files of one folder, by their paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._named: dict[str, File] = {}
        self._flushed: dict[str, File] = {}
        self._renamed: list[tuple[str, File | None]] = []
        """Which names came and went since the folder was flushed."""

    def happens(self, call: Call) -> None:
        match call.what:
            case "o":
                self._name(call.file, File())
            case "u":
                self._name(call.file, None)
            case "s" if call.file == self._folder:
                self._flushed = dict(self._named)
                self._renamed.clear()
            case "s":
                self._named[call.file].flush()
            case _:
                self._named[call.file].since.append(call)

    def _name(self, name: str, file: File | None) -> None:
        self._renamed.append((name, file))
        if file is None:
            del self._named[name]
        else:
            self._named[name] = file

    def after_power_loss(self, how: How, dice: random.Random) -> dict[str, bytes]:
        """What may be on it when power comes back."""
        names: dict[str, File | None] = {**self._flushed}
        names.update(kept(self._renamed, how, dice))
        return {
            name: file.after(lambda calls: kept(calls, how, dice)) for name, file in names.items() if file
        }


def kept(things: list[T], how: How, dice: random.Random) -> list[T]:
    match how:
        case "none of it":
            return []
        case "all of it":
            return things
        case "the first of it":
            return things[: dice.randrange(len(things) + 1)]
        case "any of it":
            return [thing for thing in things if dice.random() < 0.5]
