"""What somebody wants of a run, written into the log by hand."""

from pathlib import Path
from typing import Any

from support.logs import changeset
from threadlog.store import ANY, Changeset, Log
from threadlog.store.changeset import ControlEntry


def appended(path: Path, item: Changeset) -> None:
    with Log.open(path) as log:
        log.append(item, ANY)


def wanted(run_id: str, **entry: Any) -> Changeset:
    """What somebody wants of a run."""
    stream = f"control/{run_id}"
    return changeset(
        f"{stream}/e1", stream, run_id=run_id, reason="control", entry=ControlEntry(id="e1", **entry)
    )
