"""A run's control stream: what is wanted of the run, by whomever, in the order in which it came.

decide, cancel, steer -> an entry, durable -> acted on once, by whoever executes the run
"""

from collections.abc import Callable, Sequence

from ...store.async_log import AsyncLog
from ...store.changeset import Changeset, ControlEntry, control_stream
from ...store.document import same
from ...store.errors import ChangesetExists, RunError, RunOver, VersionConflict
from ..commit import Condition, Effects

Choice = Callable[[Sequence[ControlEntry]], Sequence[ControlEntry]]
"""From what the stream holds to what is to be added. Asked again if somebody else was faster."""


class ControlStream:
    """The control stream of one run."""

    def __init__(self, log: AsyncLog, effects: Effects, run_id: str) -> None:
        self._log = log
        self._effects = effects
        self._run_id = run_id
        self.name = control_stream(run_id)

    def read(self, after: int = 0) -> list[Changeset]:
        """What stands in it behind a version."""
        return list(self._log.log.read(self.name, after=after))

    async def add(self, choice: Choice, condition: Callable[[], Condition] | None = None) -> bool:
        """Add entries, all or none, durable on return. False if they were all there before.

        `condition` is what must hold then: without it, that the run is not over.

        Raises:
            RunOver: the run is over.
            RunError: an id is taken by an entry of other content; whatever `choice` raises.
            ContentError: an entry cannot be kept.
        """
        while True:
            known = [changeset.entry for changeset in self.read() if changeset.entry]
            new = _unknown(known, choice(known))
            if not new:
                return False
            if any(entry.kind == "cancel" for entry in known) and not self._log.log.run(self._run_id):
                raise RunOver(self._run_id, "cancelled before its turn came")
            try:
                holds = condition() if condition else Condition(open_run=self._run_id)
                await self._log.append(
                    map(self._changeset, new), len(known), heads=holds.heads, open_run=holds.open_run
                )
            except (VersionConflict, ChangesetExists):
                # Somebody else has added something: what is right now may be something else.
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


def _unknown(known: Sequence[ControlEntry], wanted: Sequence[ControlEntry]) -> list[ControlEntry]:
    by_id = {entry.id: entry for entry in known}
    new: dict[str, ControlEntry] = {}
    for entry in wanted:
        there = by_id.setdefault(entry.id, entry)
        if not _is_same(there, entry):
            raise RunError(f"the id {entry.id!r} is taken by something else that is wanted of the run")
        if there is entry:
            new[entry.id] = entry
    return list(new.values())


def _is_same(one: ControlEntry, other: ControlEntry) -> bool:
    """Whether the same is wanted, by whomever."""
    return (one.kind, one.start) == (other.kind, other.start) and same(one.content, other.content)
