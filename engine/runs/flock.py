"""Locks by `flock`. Exec closes them; a forked child closes its copies here, or it would keep them locked.

The lock belongs to the file, not to its name. If the holder removes the file after another runtime has opened
it, that runtime locks a file without a name. `acquire` detects this, and the caller tries again.
"""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    raise ImportError("there is no flock on Windows")

import fcntl

_opening = threading.Lock()
"""Held while a descriptor is open that is not in `_held`: no child may be forked then."""


class Flock:
    """The lock of a file, held by this process."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self.descriptor = descriptor

    def release(self) -> None:
        # In a forked child the lock is the parent's: leave it.
        if self in _held:
            # A file that cannot be removed is no longer locked: the next recovery removes it.
            with suppress(OSError):
                self._file.unlink()
            self.close()

    def close(self) -> None:
        _held.discard(self)
        os.close(self.descriptor)


_held: set[Flock] = set()
"""The locks that this process holds."""


def _close_in_child() -> None:
    # Close, and do not unlock: that would also release the parent's lock.
    for lock in _held:
        os.close(lock.descriptor)
    _held.clear()
    _opening.release()


os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_close_in_child)


def acquire(file: Path, *, create: bool) -> Flock:
    with _opening:
        lock = Flock(file, os.open(file, os.O_RDWR | (os.O_CREAT if create else 0), 0o644))
        _held.add(lock)
    try:
        fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.descriptor), file.stat()):
            return lock
        raise FileNotFoundError(file)
    except BaseException:
        lock.close()
        raise


def is_held(file: Path) -> bool:
    with _opening:
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            # Shared, so that two tests at the same moment do not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
    return False
