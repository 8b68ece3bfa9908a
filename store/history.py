"""Reading the rows of the log: histories, states and digests. Every function only selects."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .changeset import CONTROL, Changeset
from .codec import GENESIS, decode
from .database import Connection
from .document import loads
from .errors import ContentError, CorruptLog, PatchError
from .patch import Draft

_CHUNK = 500


class Entry(NamedTuple):
    """A changeset and its position in the whole log."""

    position: int
    changeset: Changeset


class Tip(NamedTuple):
    """The last row of a thread; version 0 if the thread does not exist."""

    version: int
    digest: bytes


@contextmanager
def as_written(path: Path | str = "the log") -> Iterator[None]:
    """Raise `CorruptLog` where reading meets something that no append could have written."""
    try:
        yield
    except (ContentError, PatchError, ValueError, TypeError, LookupError, AttributeError) as err:
        raise CorruptLog(f"{str(path)!r} is damaged ({err}): copy it, then run `threadlog verify`") from err


def thread_key(connection: Connection, thread_id: str) -> int | None:
    try:
        found = connection.execute("select key from thread where name = ?", (thread_id,)).fetchone()
    except UnicodeEncodeError:
        # A lone surrogate: no thread can have this name.
        return None
    return found and int(found[0])


def tip(connection: Connection, thread: int | None) -> Tip:
    found = connection.execute(
        "select version, digest from changeset where thread = ? order by version desc limit 1", (thread,)
    ).fetchone()
    return Tip(int(found[0]), bytes(found[1])) if found else Tip(0, GENESIS)


def file_tip(connection: Connection) -> tuple[int, bytes]:
    """Return the last position and the digest of the whole log there."""
    found = connection.execute(
        "select position, file_digest from changeset order by position desc limit 1"
    ).fetchone()
    return (int(found[0]), bytes(found[1])) if found else (0, GENESIS)


class Content(NamedTuple):
    """The stored form of a changeset."""

    version: int
    format: int
    content: bytes

    def changeset(self) -> Changeset:
        return decode(self.content, version=self.version, format=self.format)

    def patches(self) -> Sequence[dict[str, Any]]:
        patches: Sequence[dict[str, Any]] = loads(self.content).get("patches", ())
        return patches


def history(connection: Connection, thread: int | None, after: int, until: int) -> Iterator[Changeset]:
    """Yield the changesets of a thread with versions in (after, until], in order."""
    return (written.changeset() for written in contents(connection, thread, after, until))


def contents(connection: Connection, thread: int | None, after: int, until: int) -> Iterator[Content]:
    """Yield the stored form of the changesets with versions in (after, until], in order.

    Read in chunks, each finished at once: a reader that pauses holds no lock and pins no write-ahead log.
    """
    while after < until:
        rows = connection.execute(
            "select version, format, content from changeset where thread = ? and version > ? and version <= ?"
            f" order by version limit {_CHUNK}",
            (thread, after, until),
        ).fetchall()
        if not rows:
            return
        yield from map(Content._make, rows)
        after = rows[-1][0]


def entries(connection: Connection, after: int) -> list[Entry]:
    """Return the next entries after a position, of all threads, in order; empty at the end of the log."""
    rows = connection.execute(
        f"select position, version, format, content from changeset where position > ? order by position"
        f" limit {_CHUNK}",
        (after,),
    ).fetchall()
    return [Entry(position, Content(*written).changeset()) for position, *written in rows]


def thread_entries(
    connection: Connection, thread: int | None, after: int, until: int, limit: int
) -> list[Entry]:
    """Return the next entries of a thread with positions in (after, until], in order."""
    rows = connection.execute(
        "select position, version, format, content from changeset where thread = ? and version > ?"
        " and position <= ? order by version limit ?",
        (thread, version_at(connection, thread, after), until, limit),
    ).fetchall()
    return [Entry(position, Content(*written).changeset()) for position, *written in rows]


def position_of(connection: Connection, thread: int | None, version: int) -> int:
    """Return the position of a thread's version; 0 if it does not exist."""
    found = connection.execute(_POSITION, (thread, version)).fetchone()
    return int(found[0]) if found else 0


def version_at(connection: Connection, thread: int | None, position: int) -> int:
    """Return the version of a thread at a position of the log: that of its last changeset up to there."""
    # Positions grow with versions, and only versions are indexed within a thread.
    versions = range(1, tip(connection, thread).version + 1 if position else 1)
    return bisect_right(versions, position, key=lambda version: position_of(connection, thread, version))


def commands(connection: Connection, after: int) -> list[Entry]:
    """Return the entries after a position that are on control streams, in order."""
    rows = connection.execute(
        "select position, version, format, content from changeset cross join thread on key = thread"
        f" where position > ? and name glob '{CONTROL}*' order by position",
        (after,),
    ).fetchall()
    return [Entry(position, Content(*written).changeset()) for position, *written in rows]


def state_at(connection: Connection, thread: int | None, version: int) -> Any:
    """Return a thread's state document at a version: the last snapshot before it, and the patches since.

    The patches are not validated again, which would double the cost of a fold; `verify` does that.
    """
    start, document = _snapshot(connection, thread, version)
    rows = connection.execute(
        "select content from changeset where thread = ? and version > ? and version <= ? order by version",
        (thread, start, version),
    )
    draft = Draft(document)
    for (content,) in rows.fetchall():
        for patch in loads(content).get("patches", ()):
            draft.apply(patch["operations"])
    return draft.document


def _snapshot(connection: Connection, thread: int | None, version: int) -> tuple[int, Any]:
    found = connection.execute(
        "select version, content from snapshot where thread = ? and version <= ?"
        " order by version desc limit 1",
        (thread, version),
    ).fetchone()
    return (found[0], loads(found[1])) if found else (0, {})


_POSITION = "select position from changeset where thread = ? and version = ?"
