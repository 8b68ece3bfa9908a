"""Waiting for appends to a log, by this process or another one."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Protocol

from .errors import LogUnavailable
from .history import Entry

POLL_SECONDS = 0.05
"""How soon a follower sees the appends of another process. Appends of this process wake it at once."""


class Followed(Protocol):
    """An open log."""

    @property
    def is_closed(self) -> bool: ...

    def entries_after(self, after: int) -> list[Entry]: ...

    def data_version(self) -> int: ...

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]: ...


def follow(log: Followed, after: int, timeout: float | None) -> Iterator[Entry]:
    """Yield the changesets after a position as they are appended, until the log is closed.

    Also ends after `timeout` seconds without a new changeset.
    """
    news = Event()
    unlisten = log.listen(news.set)
    waited = 0.0
    try:
        while timeout is None or waited < timeout:
            news.clear()
            if found := _entries_while_open(log, after):
                yield from found
                after, waited = found[-1].position, 0.0
            elif log.is_closed:
                return
            elif not news.wait(POLL_SECONDS):
                waited += POLL_SECONDS
    finally:
        unlisten()


def changes(log: Followed, timeout: float | None) -> Iterator[None]:
    """Yield at once, and after every change, until `timeout` seconds were spent waiting."""
    seen, waited, pause = None, 0.0, Event()
    while True:
        if (now := log.data_version()) != seen:
            seen = now
            yield
        if timeout is not None and not waited < timeout:
            return
        pause.wait(POLL_SECONDS)
        waited += POLL_SECONDS


def _entries_while_open(log: Followed, after: int) -> list[Entry]:
    try:
        return log.entries_after(after)
    except LogUnavailable:
        if not log.is_closed:
            raise
        return []
