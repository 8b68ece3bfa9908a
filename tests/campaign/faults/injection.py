"""Faults at the file layer, under the real SQLite: the Python side of faults.c.

library = built(folder)
subprocess.run([...], env=preloaded(library))       in the process: arm(...), or recording(...)
"""

import ctypes
import os
import subprocess
from enum import IntEnum
from pathlib import Path

FOREVER = 2**40
"""As the last call that goes wrong."""


class Kind(IntEnum):
    """The calls that are counted."""

    WRITE = 0
    SYNC = 1
    LOCK = 2
    OPEN = 3
    CUT = 4
    """A file made shorter, or removed."""


class How(IntEnum):
    """In which way a call goes wrong."""

    NOT = 0
    FAIL = 1
    """EIO."""
    FILL = 2
    """ENOSPC."""
    SHORT = 3
    """Half of the write is done; what comes after it finds no space."""
    KILL_BEFORE = 4
    KILL_AMID = 5
    """Half of the write is done."""
    KILL_AFTER = 6


def built(folder: Path, name: str = "faults") -> Path:
    """A library to be loaded before everything else, made by the machine's C compiler."""
    library = folder / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    command = ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def preloaded(library: Path) -> dict[str, str]:
    """The environment of a process that is to have it."""
    return {**os.environ, "LD_PRELOAD": str(library)}


def arm(folder: Path, kind: Kind, how: How, first: int, last: int | None = None) -> None:
    """From now on the calls `first` to `last` of a kind on files in the folder go wrong: one, if not said."""
    _library().faults_arm(os.fsencode(folder), kind, first, first if last is None else last, how)


def record(folder: Path, path: Path) -> None:
    """From now on all calls on files in the folder are written to `path`."""
    _library().faults_arm(os.fsencode(folder), -1, 0, 0, How.NOT)
    _library().faults_record(os.fsencode(path))


def counted(kind: Kind) -> int:
    """How many calls there were since it was armed."""
    return int(_library().faults_count(kind))


def fired() -> int:
    """How often a call went wrong since it was armed."""
    return int(_library().faults_fired())


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.faults_arm.argtypes = [
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_int,
    ]
    library.faults_record.argtypes = [ctypes.c_char_p]
    library.faults_count.restype = library.faults_fired.restype = ctypes.c_long
    return library
