"""The durable command queue of one run.

Commands are appended here, then applied once by the executing process.
"""

from collections.abc import Callable, Sequence

from ...reducers.run import NEVER_BEGAN
from ...store.append import Append, Condition
from ...store.appender import Appender
from ...store.changeset import Changeset, ControlEntry, control_stream
from ...store.document import same
from ...store.errors import ChangesetExists, RunError, RunOver, VersionConflict
from ...store.log import Log
from ..commit import Effects

Choice = Callable[[Sequence[ControlEntry]], Sequence[ControlEntry]]
"""Selects the commands to append, given those already queued. Called again after a conflict."""


class ControlStream:
    """Reads and appends the commands of one run."""

    def __init__(self, log: Log, appender: Appender, effects: Effects, run_id: str) -> None:
        self._log = log
        self._appender = appender
        self._effects = effects
        self._run_id = run_id
        self.name = control_stream(run_id)

    def read(self, after: int = 0) -> list[Changeset]:
        """Return the commands after a version."""
        return list(self._log.read(self.name, after=after))

    async def add(self, choice: Choice, condition: Callable[[], Condition] | None = None) -> bool:
        """Append commands atomically. They are durable on return. Return False if all were queued before.

        By default this fails if the run is finished; `condition` replaces that check.

        Raises:
            RunOver: the run is finished.
            RunError: an id was used for a different command. Also whatever `choice` raises.
            ContentError: a command cannot be stored.
        """
        while True:
            known = [changeset.entry for changeset in self.read() if changeset.entry]
            new = _unknown(known, choice(known), self._run_id)
            if not new:
                return False
            if any(entry.kind == "cancel" for entry in known) and not self._log.run(self._run_id):
                raise RunOver(self._run_id, f"cancelled {NEVER_BEGAN.detail}")
            holds = condition() if condition else Condition(open_run=self._run_id)
            try:
                append = Append.of(map(self._changeset, new), len(known), holds)
                await self._appender.submit(append).result()
            except (VersionConflict, ChangesetExists):
                # Another process appended first: choose again from the new contents.
                continue
            return True

    def _changeset(self, entry: ControlEntry) -> Changeset:
        return Changeset(
            id=f"{self.name}/{entry.id}",
            thread_id=self.name,
            run_id=self._run_id,
            reason="control",
            at=self._effects.now(),
            entry=entry,
        )


def _unknown(
    known: Sequence[ControlEntry], chosen: Sequence[ControlEntry], run_id: str
) -> list[ControlEntry]:
    by_id = {entry.id: entry for entry in known}
    new: dict[str, ControlEntry] = {}
    for entry in chosen:
        queued = by_id.setdefault(entry.id, entry)
        if not _is_same(queued, entry):
            raise RunError(
                f"command id {entry.id!r} already exists in run {run_id!r} with different content: "
                "use a new id"
            )
        if queued is entry:
            new[entry.id] = entry
    return list(new.values())


def _is_same(one: ControlEntry, other: ControlEntry) -> bool:
    """Whether two commands are equal apart from their authors."""
    return (one.kind, one.start) == (other.kind, other.start) and same(one.content, other.content)
