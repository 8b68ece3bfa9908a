"""Lock files: what the engine needs of a lock, whichever kind the system has.

flock           everywhere but on Windows
windows_lock    on Windows

Both kinds lock an open file, so two runtimes of one process exclude each other too, and the kernel releases
the lock when the process dies. A lock file that exists and is not locked means the same as no file. Removing
it is only tidiness, and may fail.
"""

from pathlib import Path
from typing import Protocol


class Lock(Protocol):
    """A lock on a file, held by this process until it releases it or dies."""

    def release(self) -> None:
        """Remove the file if possible, and release the lock. Does nothing in a forked child."""


class LockKind(Protocol):
    """A kind of lock. Each kind is a module."""

    def acquire(self, file: Path, *, create: bool) -> Lock:
        """Lock the file that has this name now, and create it first if `create` is set.

        Raises:
            BlockingIOError: another runtime holds the lock, is testing it, or is about to remove the file.
            FileNotFoundError: the file or its folder does not exist.
        """
        ...

    def is_held(self, file: Path) -> bool:
        """Return whether a file is locked. True if that cannot be determined."""
        ...
