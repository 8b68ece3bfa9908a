"""The state document of a thread at its head, as the writer keeps it, and its bounds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .codec import GENESIS, Encoded
from .document import MAX_BYTES, MAX_DEPTH, depth, dumps
from .errors import ContentError, PatchError
from .patch import Draft, Operation

SNAPSHOT_EVERY = 100
"""Snapshots stand at the multiples of this, in every thread: fixed places, so a rebuild finds the same."""


class Head(NamedTuple):
    """Where a thread stands: its version, digest and state. Advancing gives a new one."""

    version: int = 0
    digest: bytes = GENESIS
    document: Any = {}  # noqa: RUF012 - never changed: a draft copies what it touches

    size: int = 2
    """Bytes that the document has at the most: exact only after it was measured."""

    depth: int = 1
    """Levels that the document has at the most."""

    def advanced(self, encoded: Encoded, digest: bytes = GENESIS) -> "Head":
        """One version on, with the patches of a changeset applied.

        Raises:
            PatchError: a patch does not apply.
            ContentError: the document would become larger or deeper than a log may hold.
        """
        draft, level, moved = Draft(self.document), self.depth, False
        for patch in encoded.patches:
            operations = patch["operations"]
            if any(operation["op"] == "copy" for operation in operations):
                _apply_measuring(draft, operations)
            else:
                draft.apply(operations)
            for operation in operations:
                level = max(level, operation["path"].count("/") + depth(operation.get("value")))
                moved = moved or operation["op"] in ("copy", "move")
        # A document grows by no more bytes than were written of it, and reaches no deeper than what was put
        # into it, except by a copy or a move. So it is measured only when these bounds no longer vouch for
        # it, and an append costs the same however large the document is.
        head = Head(self.version + 1, digest, draft.document, self.size + len(encoded.content), level)
        return head.measured() if moved or head.size > MAX_BYTES or level > MAX_DEPTH else head

    def measured(self) -> "Head":
        """The same with exact bounds.

        Raises:
            ContentError: the document is larger or deeper than a log may hold.
        """
        level = depth(self.document)
        if level > MAX_DEPTH:
            raise ContentError(f"the state would be nested deeper than {MAX_DEPTH} levels")
        size = len(dumps(self.document, limit=MAX_BYTES))
        return self._replace(size=size, depth=level)


def _apply_measuring(draft: Draft, operations: Sequence[Operation]) -> None:
    """Apply operations that copy: each may double the document, so each is held against the limit."""
    for index, operation in enumerate(operations):
        try:
            draft.apply((operation,))
        except PatchError as err:
            raise PatchError(err.problem, index, operation) from None
        if operation["op"] == "copy":
            dumps(draft.document, limit=MAX_BYTES)
