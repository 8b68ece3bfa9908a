"""Which runtimes are alive: each open runtime holds a lock that the kernel releases when its process dies.

    trips.db.live/<executor id>      locked: its runtime is open. Missing or unlocked: the runtime is gone

There are no heartbeats and no timeouts: a process that is suspended, or swapped out for an hour, keeps its
runs. `locks.py` describes the kinds of lock.

The folder lies beside the database file, with all links resolved, so a copy of the file has no live runtimes.
A file with a second hard link is refused, because runtimes that use different names would not see each other.
Renaming a file while a runtime has it open makes the runtime look dead.
"""

import os
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from ...store.errors import LogUnavailable
from .locks import Lock, LockKind

if sys.platform == "win32":
    from . import windows_lock as kind
else:
    from . import flock as kind

LOCK_KIND: LockKind = kind
"""The kind of lock on this system."""

ATTEMPTS = 100
"""Attempts to acquire a lock, 0.01 seconds apart: a test of the lock ends within that time."""


class Liveness:
    """The locks of the runtimes that have one log open."""

    def __init__(self, path: Path) -> None:
        self._database = Path(os.path.realpath(path))
        self._folder = self._database.with_name(self._database.name + ".live")

    def require_single_link(self) -> None:
        """Check that the log has no second hard link.

        Raises:
            LogUnavailable: it has one.
        """
        if (links := self._database.stat().st_nlink) > 1:
            raise LogUnavailable(
                f"{str(self._database)!r} is one of {links} hard links to the same file, and runtimes under "
                "different names do not see each other: remove the others, or make a copy"
            )

    @contextmanager
    def hold(self, executor_id: str) -> Iterator[None]:
        """Keep an executor alive for other runtimes until the block is left or this process dies.

        Raises:
            LogUnavailable: the lock cannot be acquired.
        """
        try:
            lock = self._acquire(self._file(executor_id))
        except OSError as err:
            reason = err.strerror or err
            raise LogUnavailable(f"cannot create a lock file in {str(self._folder)!r}: {reason}") from err
        try:
            yield
        finally:
            lock.release()
            self._remove_folder()

    def is_alive(self, executor_id: str) -> bool:
        """Return whether the runtime of an executor is open. True if that cannot be determined."""
        return LOCK_KIND.is_held(self._file(executor_id))

    def sweep(self, keep: Collection[str]) -> None:
        """Remove the lock files of dead runtimes, except those of the executors in `keep`."""
        with suppress(OSError):
            for file in sorted(self._folder.iterdir()):
                if unquote(file.name) not in keep and not self.is_alive(unquote(file.name)):
                    with suppress(OSError):
                        _remove(file)
            self._remove_folder()

    def _file(self, executor_id: str) -> Path:
        return self._folder / quote(executor_id, safe="")

    def _acquire(self, file: Path) -> Lock:
        pause = threading.Event()
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError, BlockingIOError):
                # Another runtime may remove the folder, with its last file, between these two lines.
                self._folder.mkdir(exist_ok=True)
                return LOCK_KIND.acquire(file, create=True)
            pause.wait(0.01)
        raise LogUnavailable(f"another open runtime has the executor id {file.name!r}: ids must be unique")

    def _remove_folder(self) -> None:
        with suppress(OSError):
            self._folder.rmdir()


def _remove(file: Path) -> None:
    # Lock it first: a runtime may have acquired it since it was tested.
    LOCK_KIND.acquire(file, create=False).release()
