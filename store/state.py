"""The state document of a thread, and the bounds that keep it small enough to store."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .document import MAX_BYTES, MAX_DEPTH, depth, dumps
from .errors import ContentError, PatchError
from .patch import Draft, Operation

SNAPSHOT_EVERY = 100
"""Snapshots exist at the multiples of this, in every thread: fixed places, so a rebuild finds the same."""


class State(NamedTuple):
    """A state document with upper bounds of its size. Advancing gives a new one."""

    document: Any = {}  # noqa: RUF012 - never changed: a draft copies what it touches

    size: int = 2
    """Bytes that the document has at most: exact only after it was measured."""

    depth: int = 1
    """Levels that the document has at most."""

    def after(self, patches: Sequence[dict[str, Any]], growth: int) -> "State":
        """The state after a changeset of `growth` bytes: its patches are applied.

        Raises:
            PatchError: a patch does not apply.
            ContentError: the document would become larger or deeper than a log may hold.
        """
        draft = Draft(self.document)
        for patch in patches:
            operations = patch["operations"]
            if any(operation["op"] == "copy" for operation in operations):
                _apply_measuring(draft, operations)
            else:
                draft.apply(operations)
        return self.replaced(draft.document, patches, growth)

    def replaced(self, document: Any, patches: Sequence[dict[str, Any]], growth: int) -> "State":
        """The state after a changeset of `growth` bytes whose patches were applied before: `document`.

        Raises:
            ContentError: the document is larger or deeper than a log may hold.
        """
        level, moved = self.depth, False
        for patch in patches:
            for operation in patch["operations"]:
                level = max(level, operation["path"].count("/") + depth(operation.get("value")))
                moved = moved or operation["op"] in ("copy", "move")
        # A document grows by no more bytes than were written of it, and reaches no deeper than what was put
        # into it, except by a copy or a move. So it is measured only when these bounds no longer vouch for
        # it, and an append costs the same however large the document is.
        state = State(document, self.size + growth, level)
        return state.measured() if moved or state.size > MAX_BYTES or level > MAX_DEPTH else state

    def measured(self) -> "State":
        """The same with exact bounds.

        Raises:
            ContentError: the document is larger or deeper than a log may hold.
        """
        level = depth(self.document)
        if level > MAX_DEPTH:
            raise ContentError(f"the state would be nested deeper than {MAX_DEPTH} levels")
        return self._replace(size=len(dumps(self.document, limit=MAX_BYTES)), depth=level)


def _apply_measuring(draft: Draft, operations: Sequence[Operation]) -> None:
    """Apply operations that copy: each may double the document, so each is held against the limit."""
    for index, operation in enumerate(operations):
        try:
            draft.apply((operation,))
        except PatchError as err:
            raise PatchError(err.problem, index, operation) from None
        if operation["op"] == "copy":
            dumps(draft.document, limit=MAX_BYTES)
