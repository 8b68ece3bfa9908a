"""What a lock on a file must do here, whichever kind the system has.

flock           where there is flock, which is everywhere but on Windows
windows_lock    on Windows

Both belong to an open file, so that two runtimes of one process see each other, and the kernel takes both
back when the process dies. A file that is left and that nobody has locked says the same as one that is not
there: to remove it is tidiness, and may fail.
"""

from pathlib import Path
from typing import Protocol


class Lock(Protocol):
    """The lock of a file, held by this process until it gives it back or dies."""

    def release(self) -> None:
        """Remove the file if that can be, and let go of it; in a forked child, whose it is not: nothing."""


class LockKind(Protocol):
    """A kind of lock; each is a module."""

    def acquire(self, file: Path, *, create: bool) -> Lock:
        """The lock of the file that has this name now; it may be made for that.

        Raises:
            BlockingIOError: somebody else holds it, or looks at it, or is about to remove the file.
            FileNotFoundError: the file is not there, or its folder.
        """
        ...

    def is_held(self, file: Path) -> bool:
        """Whether somebody holds the lock of a file; also where that cannot be told."""
        ...
