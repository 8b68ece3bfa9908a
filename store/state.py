"""The state document of a thread, and the bounds that keep it small enough to store."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .document import MAX_BYTES, MAX_DEPTH, depth, dumps
from .errors import ContentError, PatchError
from .patch import Draft, Operation

SNAPSHOT_EVERY = 100
"""Snapshots are taken at the multiples of this, in every thread, so that a rebuild makes the same ones."""


class State(NamedTuple):
    """A state document with upper bounds of its size. Immutable: applying patches returns a new one."""

    document: Any = {}  # noqa: RUF012 - never changed: a draft copies what it touches

    size: int = 2
    """The maximum bytes of the document; exact only after it was measured."""

    depth: int = 1
    """The maximum nesting of the document."""

    def after(self, patches: Sequence[dict[str, Any]], growth: int) -> "State":
        """Return the state after patches from a changeset of `growth` bytes.

        Raises:
            PatchError: a patch does not apply.
            ContentError: the document would be larger or deeper than allowed.
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
        """Return the state for `document`, to which the patches of a `growth`-byte changeset were applied.

        Raises:
            ContentError: the document is larger or deeper than allowed.
        """
        level, moved = self.depth, False
        for patch in patches:
            for operation in patch["operations"]:
                level = max(level, operation["path"].count("/") + depth(operation.get("value")))
                moved = moved or operation["op"] in ("copy", "move")
        # Without copies and moves a document grows by at most the bytes written, and gets at most as deep
        # as what was added. So it is measured only when these bounds exceed a limit, and an append costs
        # the same however large the document is.
        state = State(document, self.size + growth, level)
        return state.measured() if moved or state.size > MAX_BYTES or level > MAX_DEPTH else state

    def measured(self) -> "State":
        """Return the state with exact bounds.

        Raises:
            ContentError: the document is larger or deeper than allowed.
        """
        level = depth(self.document)
        if level > MAX_DEPTH:
            raise ContentError(f"the state would be nested deeper than {MAX_DEPTH} levels")
        return self._replace(size=len(dumps(self.document, limit=MAX_BYTES)), depth=level)


def _apply_measuring(draft: Draft, operations: Sequence[Operation]) -> None:
    """Apply operations that include copies: each may double the document, so each is checked."""
    for index, operation in enumerate(operations):
        try:
            draft.apply((operation,))
        except PatchError as err:
            raise PatchError(err.problem, index, operation) from None
        if operation["op"] == "copy":
            dumps(draft.document, limit=MAX_BYTES)
