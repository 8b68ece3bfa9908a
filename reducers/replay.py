"""Folding a history into a thread; every other view derives from this fold. Pure.

replay(history) == replay(history[n:], base=replay(history[:n]))        at every n
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..store.changeset import Changeset, Message, RunStatus, ThreadMetadata
from ..store.errors import CorruptLog
from ..store.patch import Draft
from .usage import add_usage, changeset_usage


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread at a version."""

    version: int = 0
    state: Any = field(default_factory=dict)

    messages: tuple[Message, ...] = ()
    """The conversation. Ids are unique: a message with a known id was skipped."""

    runs: Mapping[str, RunStatus] = field(default_factory=dict)
    """The status of each run of the thread, in the order of their starts, with the tokens so far."""

    metadata: ThreadMetadata = field(default_factory=ThreadMetadata)
    """Parent, owner and labels."""

    def open_run(self) -> str | None:
        """Return the running or waiting run: a thread has at most one."""
        return next((run_id for run_id, run in self.runs.items() if run.status != "done"), None)


def replay(changesets: Iterable[Changeset], base: Thread | None = None) -> Thread:
    """Return the thread after a history, starting from nothing or from `base`.

    Raises:
        CorruptLog: a version is missing or repeated.
        PatchError: a patch does not apply.
    """
    start = base or Thread()
    version, metadata, draft = start.version, start.metadata, Draft(start.state)
    messages = {message.id: message for message in start.messages}
    runs = dict(start.runs)
    for changeset in changesets:
        if changeset.version != version + 1:
            found = f"version {changeset.version} of {changeset.thread_id!r}"
            raise CorruptLog(f"{found} follows version {version}")
        version = changeset.version
        for patch in changeset.patches:
            draft.apply(patch.operations)
        for message in changeset.messages:
            messages.setdefault(message.id, message)
        if changeset.run_id and (status := changeset.run or _active_status(runs, changeset)):
            runs[changeset.run_id] = status
        if changeset.thread:
            metadata = metadata.updated(changeset.thread)
    return Thread(version, draft.document, tuple(messages.values()), runs, metadata)


def _active_status(runs: Mapping[str, RunStatus], changeset: Changeset) -> RunStatus | None:
    """Return the status of an active run with the tokens of this changeset added."""
    known = runs.get(changeset.run_id or "")
    if known is None or not (changeset.inference or changeset.effects):
        return None
    return known.model_copy(update={"usage": add_usage(known.usage, changeset_usage(changeset))})
