"""Check a log: do the present reducers turn its actions into the patches that it has? Pure."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..store.changeset import ActionRecord, Changeset, TrackedPatch
from ..store.document import same
from ..store.errors import ActionError, PatchError
from ..store.patch import MISSING, Operation, apply, diff, find
from .reduce import Reducers


class Divergence(NamedTuple):
    """The first place where today's code produces another value than the log has."""

    thread_id: str
    version: int
    pointer: str
    """JSON Pointer (RFC 6901) of the value: in the state if a reducer diverges, else in the changeset."""

    logged: Any
    now: Any
    """Today's value, or a text if there is none or the reducer refused the action."""

    action: int | None = None
    """The index in the changeset's actions, if a reducer diverges."""

    reducer: str | None = None
    """The name of that reducer."""

    def __str__(self) -> str:
        who = "today's code" if self.reducer is None else f"action {self.action} of {self.reducer!r}"
        return (
            f"thread {self.thread_id!r}, version {self.version}: at {self.pointer!r} the log has "
            f"{self.logged!r}, {who} gives {self.now!r}"
        )


class NotChecked(NamedTuple):
    """A patch that cannot be checked: its reducer is unknown, or the log has no action for it."""

    thread_id: str
    version: int
    what: str

    def __str__(self) -> str:
        return f"thread {self.thread_id!r}, version {self.version}: {self.what}"


def check_reducers(
    changesets: Iterable[Changeset], reducers: Reducers, state: Any = MISSING
) -> Iterator[Divergence | NotChecked]:
    """Yield every difference, in order. The state follows the log, so each difference is reported once.

    `state` is the state before the first changeset. Leave it out for a complete thread.

    Raises:
        PatchError: a patch of the log does not apply: see `verify`.
    """
    document = {} if state is MISSING else state
    for changeset in changesets:
        # Patches are in the order of their actions: one at another place belongs to no action.
        patches = deque(changeset.patches)
        for index, record in enumerate(changeset.actions):
            while patches and (patches[0].action is None or patches[0].action < index):
                yield _without_action(changeset, patches[0])
                document = apply(document, patches.popleft().operations)
            logged = patches.popleft() if patches and patches[0].action == index else None
            yield from _check(changeset, index, record, logged, document, reducers)
            document = apply(document, logged.operations) if logged else document
        for patch in patches:
            yield _without_action(changeset, patch)
            document = apply(document, patch.operations)


def _without_action(changeset: Changeset, patch: TrackedPatch) -> NotChecked:
    return NotChecked(changeset.thread_id, changeset.version, f"a patch of {patch.source!r} has no action")


def _check(
    changeset: Changeset,
    index: int,
    record: ActionRecord,
    logged: TrackedPatch | None,
    document: Any,
    reducers: Reducers,
) -> Iterator[Divergence | NotChecked]:
    place = (changeset.thread_id, changeset.version)
    if record.reducer not in reducers:
        yield NotChecked(*place, f"the reducer {record.reducer!r} is not here")
        return
    operations = list(logged.operations) if logged else []
    try:
        reduced = reducers.operations(document, record)
    except ActionError as err:
        path = str(operations[0]["path"]) if operations else ""
        yield Divergence(*place, path, operations, f"a refusal: {err}", index, record.reducer)
        return
    if not same(operations, reduced):
        yield Divergence(*place, *_difference(document, operations, reduced), index, record.reducer)


def _difference(document: Any, logged: list[Operation], reduced: list[Operation]) -> tuple[str, Any, Any]:
    """Return the first place where the resulting states differ, or the operations if they do not differ."""
    try:
        there, here = apply(document, logged), apply(document, reduced)
    except PatchError:
        return "", logged, reduced
    for operation in diff(there, here):
        path = str(operation["path"])
        return path, _value_at(there, path), _value_at(here, path)
    return str((logged or reduced)[0]["path"]), logged, reduced


def _value_at(document: Any, path: str) -> Any:
    return "(nothing)" if (found := find(document, path)) is MISSING else found
