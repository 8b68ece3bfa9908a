"""Locks where there is no flock, by the library `filelock`: on Windows, on the first byte of the file.

Windows has no shared lock to test with, so a test acquires the lock for a moment. A test that finds the file
locked repeats before it reports a holder. A live runtime is never reported dead: that takes an acquired lock
or a missing file, and Windows does not remove a file that filelock has open.

For the same reason filelock itself removes the file, after unlocking it; the file stays if it is being tested
at that moment. Testing may remove the file of a dead runtime.

Where flock exists, filelock uses it, so the tests run this module on other systems. It has not been run on
Windows.
"""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

ATTEMPTS = 5
"""Tests before a file counts as locked, 0.01 seconds apart: a concurrent test ends within that time."""


class WindowsLock:
    """The lock of a file, held by this process."""

    def __init__(self, file: Path, lock: BaseFileLock) -> None:
        self._file = file
        self._lock = lock

    def release(self) -> None:
        if self._lock.is_locked:
            # Remove while locked, or it may be the next holder's. Windows refuses: filelock removes it there.
            with suppress(OSError):
                self._file.unlink()
            # If this fails, the kernel unlocks it when the process ends.
            with suppress(OSError):
                self.unlock()

    def unlock(self) -> None:
        self._lock.release()


def acquire(file: Path, *, create: bool) -> WindowsLock:
    if not create:
        # filelock would create the file. `exists` is no test for it: it also hides other errors.
        file.stat()
    # Not bound to a thread: a runtime may be closed in another thread than it was opened in.
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
