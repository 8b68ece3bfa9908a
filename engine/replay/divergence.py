"""The first difference between what the log has and what today's code writes."""

from typing import Any

from ...store.changeset import Changeset
from ...store.codec import encode
from ...store.document import loads
from ...store.errors import ThreadlogError
from ...store.patch import MISSING, diff, find


class Diverged(ThreadlogError):
    """Today's code does something else than the log has. `pointer` is into the changeset's JSON."""

    def __init__(self, thread_id: str, version: int, pointer: str, logged: Any, now: Any) -> None:
        super().__init__(thread_id, version, pointer, logged, now)
        self.thread_id = thread_id
        self.version = version
        self.pointer = pointer
        self.logged = logged
        self.now = now

    def __str__(self) -> str:
        return (
            f"thread {self.thread_id!r}, version {self.version}: at {self.pointer!r} the log has "
            f"{self.logged!r}, today's code gives {self.now!r}"
        )


def difference(logged: Changeset, now: Changeset) -> Diverged | None:
    """The first difference of two changesets, as JSON; a digest only if there is nothing else to name."""
    before, after = loads(encode(logged)), loads(encode(now))
    paths = [str(operation["path"]) for operation in diff(before, after)]
    for path in sorted(paths, key=_weight):
        old, new = (None if (found := find(side, path)) is MISSING else found for side in (before, after))
        return Diverged(logged.thread_id, logged.version, path, old, new)
    if logged.version != now.version:
        return Diverged(logged.thread_id, logged.version, "", logged.version, now.version)
    return None


def _weight(path: str) -> int:
    """That another thing happened comes first, a digest last: it only says that something is different."""
    return 0 if path == "/reason" else 2 if path.endswith(("/fingerprint", "/request_digest")) else 1
