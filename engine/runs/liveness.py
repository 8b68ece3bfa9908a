"""Who is alive: every open Runtime holds a lock that the kernel takes back when its process dies.

    trips.db.live/<executor id>      locked: its runtime is open; not there, or not locked: it is no more

No heartbeats and no time-outs: a process that is stopped, or swapped out for an hour, keeps its runs. The
lock is `flock`, and on Windows, where there is none, one on a byte of the file (locks.py: what both do). It
lies beside the file with all links resolved, so a copy of the file has no owners; a file with a second hard
link is refused, since its runtimes would not see each other. A file that is renamed while a runtime is open
on it has lost its owner.
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
"""The kind of lock that this system has."""

ATTEMPTS = 100
"""Hundredths of a second in which whoever only looks at a lock file has let go of it."""


class Liveness:
    """The locks of the runtimes that are open on one log."""

    def __init__(self, path: Path) -> None:
        self._database = Path(os.path.realpath(path))
        self._folder = self._database.with_name(self._database.name + ".live")

    def require_single_link(self) -> None:
        """Pass if the log has one name only.

        Raises:
            LogUnavailable: it has a second hard link.
        """
        if (links := self._database.stat().st_nlink) > 1:
            raise LogUnavailable(
                f"{str(self._database)!r} is one of {links} hard links to the same file, and runtimes under "
                "different names do not see each other: remove the others, or make a copy"
            )

    @contextmanager
    def hold(self, executor_id: str) -> Iterator[None]:
        """An executor counts as alive inside, until this process leaves it or dies.

        Raises:
            LogUnavailable: the lock cannot be taken.
        """
        try:
            lock = self._acquire(self._file(executor_id))
        except OSError as err:
            reason = err.strerror or err
            raise LogUnavailable(f"no lock can be taken in {str(self._folder)!r}: {reason}") from err
        try:
            yield
        finally:
            lock.release()
            self._remove_folder()

    def is_alive(self, executor_id: str) -> bool:
        """Whether the runtime of an executor is open; also where that cannot be told."""
        return LOCK_KIND.is_held(self._file(executor_id))

    def sweep(self, keep: Collection[str]) -> None:
        """Remove what dead runtimes have left, those aside that somebody may look at."""
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
                # The folder goes with its last file: that may be between these two.
                self._folder.mkdir(exist_ok=True)
                return LOCK_KIND.acquire(file, create=True)
            pause.wait(0.01)
        raise LogUnavailable(f"another runtime is open as executor {file.name!r}: ids must not come twice")

    def _remove_folder(self) -> None:
        with suppress(OSError):
            self._folder.rmdir()


def _remove(file: Path) -> None:
    # Under its lock: its owner may live, though it was dead when it was looked at.
    LOCK_KIND.acquire(file, create=False).release()
