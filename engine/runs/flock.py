"""Locks by `flock`: closed by exec, and here in a forked child, which would else keep them.

A lock belongs to a file and not to its name: who holds it may remove the file, and somebody who has opened
that one before then finds it gone, and makes it again.
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
"""Held while a descriptor is open that no lock has: a child forked then would have it, too."""


class Flock:
    """The lock of a file, held by this process."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self.descriptor = descriptor

    def release(self) -> None:
        # In a forked child it is the parent's, and stays.
        if self in _held:
            # What is left is not locked: whoever recovers next removes it.
            with suppress(OSError):
                self._file.unlink()
            self.close()

    def close(self) -> None:
        _held.discard(self)
        os.close(self.descriptor)


_held: set[Flock] = set()
"""The locks that this process holds."""


def _close_in_child() -> None:
    # Closed, not unlocked: to unlock it would take the lock from the parent.
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
            # Shared: of two who look at the same moment neither takes the other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
    return False
