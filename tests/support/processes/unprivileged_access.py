"""An unprivileged process, for tests of read-only files: root may write anything.

FORBIDDEN PATH read      the notice of the log and the ids in it, as JSON
FORBIDDEN PATH append    what came of an append

It fails if it could write to FORBIDDEN, a file or a folder.
"""

import json
import os
import sys

from threadlog.store import ANY, Changeset, Log
from threadlog.store.errors import LogError


def read(path: str) -> str:
    with Log.open(path, readonly=True) as log:
        assert log.verify() == []
        return json.dumps([log.notice, [item.id for _, item in log.entries()]])


def append(path: str) -> str:
    try:
        with Log.open(path) as log:
            return str(log.append(Changeset(id="new", thread_id="t1", reason="edited", at=0), ANY))
    except LogError as err:
        return f"{type(err).__name__}: {err}"


def main(forbidden: str, path: str, wish: str) -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    if os.access(forbidden, os.W_OK):
        sys.exit(f"{forbidden} may be written")
    sys.stdout.write(read(path) if wish == "read" else append(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
