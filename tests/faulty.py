"""A process in which calls on the log's files go wrong, with faults.c loaded before: faulty.py WHAT LOG.

It fails as a test does; what it does is said where it is done.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.faults import FOREVER, How, Kind, arm
from examples import changeset

from threadlog.engine.liveness import Liveness
from threadlog.store import Log
from threadlog.store.errors import LogUnavailable


@contextmanager
def broken(path: Path, kind: Kind, how: How, first: int = 1, last: int = FOREVER) -> Iterator[None]:
    arm(path.parent, kind, how, first, last)
    try:
        yield
    finally:
        arm(path.parent, kind, How.NOT, 0)


def opening(path: Path) -> None:
    """A log that was opened while a call failed can be written, and is read as it is written."""
    for how in (How.FAIL, How.FILL):
        refused = [number for number in range(1, 9) if not opened(path, how, number)]
        assert 1 in refused
        assert 8 not in refused


def opened(path: Path, how: How, number: int) -> bool:
    """Whether a log was opened; then it is as it should be."""
    try:
        with broken(path, Kind.OPEN, how, number, number):
            log = Log.open(path)
    except LogUnavailable:
        return False
    with log:
        version = log.head("t1")
        assert log.append(changeset(f"c{version}"), version) == log.head("t1")
    return True


def beside(path: Path) -> None:
    """Where a log cannot be opened once more, the one that is open keeps its locks: nothing is copied."""
    arm(path.parent, Kind.OPEN, How.NOT, 0)
    with Log.open(path) as log:
        log.append(changeset(), 0)
        with broken(path, Kind.OPEN, How.FAIL):
            try:
                Log.open(path, readonly=True).close()
            except LogUnavailable:
                return
    raise AssertionError("it was opened, and is a copy")


def alive(path: Path) -> None:
    """Who cannot be looked at counts as alive."""
    liveness = Liveness(path)
    with liveness.hold("a"):
        for kind in (Kind.OPEN, Kind.LOCK):
            with broken(path, kind, How.FAIL):
                assert liveness.is_alive("a")


def let_go(path: Path) -> None:
    """A lock file that cannot be removed is let go of all the same."""
    liveness = Liveness(path)
    with broken(path, Kind.CUT, How.FAIL):
        with liveness.hold("a"):
            pass
        assert not liveness.is_alive("a")


PLAIN: list[Callable[[Path], None]] = [opening, beside, alive, let_go]

if __name__ == "__main__":
    for each in PLAIN:
        if each.__name__ == sys.argv[1]:
            each(Path(sys.argv[2]))
