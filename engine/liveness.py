"""Who is alive: every open Runtime holds a lock that the kernel takes back when its process dies.

    trips.db.live/<executor id>      locked: its runtime is open; not there, or not locked: it is no more

No heartbeats and no time-outs: a process that is stopped, or swapped out for an hour, keeps its runs. The
lock is `flock`, which belongs to an open file, so that two runtimes of one process see each other; it is
closed by exec, and here in a forked child, which would else keep it. It lies beside the file with all links
resolved, so a copy of the file has no owners; a file with a second hard link is refused, since its runtimes
would not see each other. A file that is renamed while a runtime is open on it has lost its owner.

Where there is no flock, on Windows, everybody counts as alive: only force recovers a run there.
"""

import os
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from ..store.errors import LogUnavailable

if sys.platform != "win32":
    import fcntl

PATIENCE = 100
"""Hundredths of a second in which whoever only looks at a lock file has let go of it."""

_held: set[int] = set()
"""The descriptors of the locks that this process holds."""

_opening = threading.Lock()
"""Held while a descriptor is open that is not among them: a child forked then would have it, too."""


def _close_in_child() -> None:
    # Closed, not unlocked: to unlock it would take the lock from the parent.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
    _opening.release()


if sys.platform != "win32":
    os.register_at_fork(
        before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_close_in_child
    )


class Liveness:
    """The locks of the runtimes that are open on one log."""

    def __init__(self, path: Path) -> None:
        self._database = Path(os.path.realpath(path))
        self._folder = self._database.with_name(self._database.name + ".live")

    def refuse_second_name(self) -> None:
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
        if sys.platform == "win32":
            yield
            return
        try:
            descriptor = self._locked(self._file(executor_id))
        except OSError as err:
            raise LogUnavailable(f"no lock can be taken in {str(self._folder)!r}: {err.strerror}") from err
        try:
            yield
        finally:
            # In a forked child it is the parent's, and stays.
            if descriptor in _held:
                # What is left is not locked: whoever recovers next removes it.
                with suppress(OSError):
                    self._file(executor_id).unlink()
                _close(descriptor)
                self._remove_folder()

    def is_alive(self, executor_id: str) -> bool:
        """Whether the runtime of an executor is open; also where that cannot be told."""
        if sys.platform == "win32":
            return True
        with _opening:
            try:
                descriptor = os.open(self._file(executor_id), os.O_RDONLY)
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

    def _locked(self, file: Path) -> int:
        pause = threading.Event()
        for _ in range(PATIENCE):
            with suppress(FileNotFoundError, BlockingIOError):
                # The folder goes with its last file: that may be between these two.
                self._folder.mkdir(exist_ok=True)
                return _lock(file, os.O_RDWR | os.O_CREAT)
            pause.wait(0.01)
        raise LogUnavailable(f"another runtime is open as executor {file.name!r}: ids must not come twice")

    def _remove_folder(self) -> None:
        with suppress(OSError):
            self._folder.rmdir()


def _lock(file: Path, flags: int) -> int:
    """A descriptor that holds the lock of the file that has this name now.

    Raises:
        BlockingIOError: somebody else holds it.
        FileNotFoundError: the file is not there, or has been removed by whoever held it before.
    """
    with _opening:
        descriptor = os.open(file, flags, 0o644)
        _held.add(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
        raise FileNotFoundError(file)
    except BaseException:
        _close(descriptor)
        raise


def _remove(file: Path) -> None:
    # Under its lock: somebody who has just made the file finds it gone, and makes it again.
    descriptor = _lock(file, os.O_RDWR)
    try:
        file.unlink()
    finally:
        _close(descriptor)


def _close(descriptor: int) -> None:
    _held.discard(descriptor)
    os.close(descriptor)
