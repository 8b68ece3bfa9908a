"""Changesets to append, and logs in temporary folders."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from threadlog.store import ANY, Changeset, Log, TrackedPatch
from threadlog.store.changeset import ControlEntry, control_stream
from threadlog.store.patch import Operation


def changeset(id: str = "c1", thread_id: str = "t1", **fields: Any) -> Changeset:
    return Changeset(**{"id": id, "thread_id": thread_id, "reason": "edited", "at": 0, **fields})


def patch_changeset(*operations: Operation, id: str = "c1", thread_id: str = "t1") -> Changeset:
    """Return a changeset with one patch."""
    return changeset(id, thread_id, patches=(TrackedPatch(operations=operations, source="test"),))


def value_changeset(path: str, value: Any, *, id: str = "c1", thread_id: str = "t1") -> Changeset:
    """Return a changeset that puts a value at a path of the state."""
    return patch_changeset({"op": "add", "path": path, "value": value}, id=id, thread_id=thread_id)


def numbered_changesets(count: int, thread_id: str = "t1") -> list[Changeset]:
    return [changeset(f"{thread_id} {n}", thread_id, at=n) for n in range(1, count + 1)]


def command_changeset(run_id: str, kind: str, id: str = "e1", **fields: Any) -> Changeset:
    """Return a changeset that queues a command in the control stream of a run."""
    stream = control_stream(run_id)
    entry = ControlEntry.model_validate({"id": id, "kind": kind, **fields})
    return changeset(f"{stream}/{id}", stream, reason="control", run_id=run_id, entry=entry)


def append_all(log: Log, history: Iterable[Changeset]) -> None:
    for item in history:
        log.append(item, log.head(item.thread_id))


def append_to_file(path: Path, item: Changeset) -> None:
    """Append a changeset as another process would."""
    with Log.open(path) as log:
        log.append(item, ANY)


def changeset_ids(changesets: Iterable[Changeset]) -> list[str]:
    return [item.id for item in changesets]


def logged_ids(log: Log) -> list[str]:
    """Return the ids of all changesets of a log, in order."""
    return changeset_ids(entry.changeset for entry in log.entries())


def by_thread(history: Iterable[Changeset]) -> dict[str, list[Changeset]]:
    """Group changesets by thread, with the versions that appending gives them."""
    found: dict[str, list[Changeset]] = {}
    for item in history:
        own = found.setdefault(item.thread_id, [])
        own.append(item.model_copy(update={"version": len(own) + 1}))
    return found


@contextmanager
def fresh_path() -> Iterator[Path]:
    """A path for a new log: one for each example of a property test."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "log.db"


@contextmanager
def fresh_log() -> Iterator[Log]:
    """A new log: one for each example of a property test."""
    with fresh_path() as path, Log.open(path, durability="normal") as log:
        yield log
