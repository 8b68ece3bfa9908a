"""Appends that fail or are interrupted are in the log whole or not at all."""

import threading
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest

from support.log_files import read_tables
from support.logs import changeset, patch_changeset, value_changeset
from threadlog.store import Log, VersionConflict
from threadlog.store.append import Append
from threadlog.store.errors import ChangesetExists, ContentError, PatchError, ThreadlogError

FAILING: list[tuple[Any, Any, type[ThreadlogError]]] = [
    (changeset("c9"), 0, VersionConflict),
    (changeset("c1", at=9), 1, ChangesetExists),
    (patch_changeset({"op": "remove", "path": "/nowhere"}, id="c9"), 1, PatchError),
    (
        [changeset("c9", "t9"), patch_changeset({"op": "test", "path": "/a"}, id="c8", thread_id="t9")],
        0,
        PatchError,
    ),
    (value_changeset("/a", 2**64, id="c9"), 1, ContentError),
]


@pytest.mark.parametrize(("item", "expected", "error"), FAILING)
def test_a_failed_append_leaves_no_trace(
    log: Log, path: Path, item: Any, expected: Any, error: type[ThreadlogError]
) -> None:
    log.append(value_changeset("/a", 1), 0)
    before = read_tables(path)

    with pytest.raises(error):
        log.append(item, expected)

    assert read_tables(path) == before
    assert log.append(changeset("c2"), 1) == 2
    assert log.verify() == []


@contextmanager
def interrupted_after(log: Log, steps: int) -> Iterator[None]:
    """A Ctrl-C that comes once, when SQLite has taken so many steps."""
    connection = log.writable()._connection
    # Nothing but C: what is raised in a function of Python would be lost in SQLite.
    strokes = chain(repeat(0, steps), map(interrupt_main, [SIGINT]))
    connection.set_progress_handler(partial(next, strokes, 0), 1)
    with suppress(KeyboardInterrupt):
        yield
    connection.set_progress_handler(None, 1)


@pytest.mark.parametrize("steps", [*range(8), *range(8, 230, 11)])
def test_an_interrupted_append_is_stored_whole_or_not_at_all_and_the_log_continues(
    log: Log, steps: int
) -> None:
    log.append(changeset("c1"), 0)
    notified = threading.Event()
    waiting = Append.of(changeset("c2", "t2"), 0)
    waiting.notify = notified.set
    log.writable().submit(waiting)

    with interrupted_after(log, steps):
        log.append([changeset("c3", "t3"), changeset("c4", "t3")], 0)

    assert log.head("t3") in (0, 2)
    assert notified.is_set()
    assert log.append(changeset("c5"), 1) == 2
    assert log.verify() == []
