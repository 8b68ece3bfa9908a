"""Locks where there is no flock, by the library `filelock`: on Windows on the first byte of the file.

There is no shared lock to look with: who looks takes the lock for a moment, so who finds it taken looks again
before it says that somebody holds it. Nobody is called dead who is alive: only who got the lock says so, or
who finds no file, and Windows removes none that filelock has open.

For the same reason a file is removed after it was let go of, by filelock itself, and stays if somebody looks
at it just then. One that only was looked at may be gone after that: it was a dead one's.

The library takes flock where there is one, so the tests run these functions elsewhere, too. They were not run
on Windows.
"""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

ATTEMPTS = 5
"""How often one looks, a hundredth of a second apart: who else only looks has let go by then."""


class WindowsLock:
    """The lock of a file, held by this process."""

    def __init__(self, file: Path, lock: BaseFileLock) -> None:
        self._file = file
        self._lock = lock

    def release(self) -> None:
        if self._lock.is_locked:
            # Under the lock, else it could be the next one's. Windows refuses, and filelock removes it there.
            with suppress(OSError):
                self._file.unlink()
            # At the latest the kernel does it.
            with suppress(OSError):
                self.unlock()

    def unlock(self) -> None:
        self._lock.release()


def acquire(file: Path, *, create: bool) -> WindowsLock:
    if not create:
        # filelock makes what it does not find. Not exists(): that says no where it cannot look.
        file.stat()
    # Not of one thread: a runtime may be left in another one than it was opened in.
    lock = FileLock(file, blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout as err:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(file)) from err
    return WindowsLock(file, lock)


def is_held(file: Path) -> bool:
    pause = threading.Event()
    for _ in range(ATTEMPTS):
        try:
            acquire(file, create=False).unlock()
        except FileNotFoundError:
            return False
        except BlockingIOError:
            pause.wait(0.01)
        except OSError:
            return True
        else:
            return False
    return True
