"""The first difference between a logged changeset and the one that today's code writes."""

from ...reducers.check import Divergence
from ...store.changeset import Changeset
from ...store.codec import encode
from ...store.document import loads
from ...store.patch import MISSING, diff, find


def first_difference(logged: Changeset, now: Changeset) -> Divergence | None:
    """Return the first difference of two changesets as JSON. A digest is the last choice."""
    before, after = loads(encode(logged)), loads(encode(now))
    paths = [str(operation["path"]) for operation in diff(before, after)]
    for path in sorted(paths, key=_weight):
        old, new = (None if (found := find(side, path)) is MISSING else found for side in (before, after))
        return Divergence(logged.thread_id, logged.version, path, old, new)
    if logged.version != now.version:
        return Divergence(logged.thread_id, logged.version, "", logged.version, now.version)
    return None


def _weight(path: str) -> int:
    """Return the sort key of a difference: first the reason, last the digests, which explain nothing."""
    return 0 if path == "/reason" else 2 if path.endswith(("/fingerprint", "/request_digest")) else 1
