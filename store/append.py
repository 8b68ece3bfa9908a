"""One append: made once by its author, carried unchanged to the writer, answered there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from .changeset import CONTROL, Changeset, control_stream
from .codec import Encoded, encoded
from .errors import ContentError

ANY: Final = "any"
"""An expected version that matches any: the order among writers does not matter."""

Expected = int | Literal["any"]


class Condition(NamedTuple):
    """What must be true elsewhere in the log for an append to be written."""

    heads: Mapping[str, int] = MappingProxyType({})
    """The versions that other streams must have."""

    open_run: str | None = None
    """A run that must not be finished."""

    def and_head(self, stream: str, version: int) -> "Condition":
        """Also require a version of another stream."""
        return self._replace(heads={**self.heads, stream: version})


ALWAYS = Condition()


class Written(NamedTuple):
    """Where the last changeset of an append is stored."""

    version: int
    """In its thread."""

    position: int
    """In the whole log."""


@dataclass(slots=True, eq=False)
class Append:
    """Changesets of one thread to write atomically, and the answer once there is one."""

    changesets: Sequence[Encoded]
    expected: Expected
    """The version that the thread must have."""

    condition: Condition = ALWAYS
    after: "Append | None" = None
    """An earlier append; if that one is refused, so is this one."""

    notify: Callable[[], None] | None = None
    """Called once, from the writing thread, when the answer is set."""

    answer: Written | Exception | None = None
    """Where it is stored, or why nothing was written; None until the commit has returned."""

    @classmethod
    def of(
        cls, changesets: Changeset | Iterable[Changeset], expected: Expected, condition: Condition = ALWAYS
    ) -> "Append":
        """Encode and check changesets that are appended together.

        Raises:
            ContentError: they cannot be stored, or do not belong to one thread.
        """
        given = (changesets,) if isinstance(changesets, Changeset) else changesets
        return cls.encoded([encoded(changeset) for changeset in given], expected, condition)

    @classmethod
    def encoded(
        cls,
        changesets: Sequence[Encoded],
        expected: Expected,
        condition: Condition = ALWAYS,
        after: "Append | None" = None,
    ) -> "Append":
        """Like `of`, for changesets that are already encoded."""
        if len({each.changeset.thread_id for each in changesets}) != 1:
            raise ContentError("an append needs at least one changeset, and all of one thread")
        if not changesets[0].changeset.thread_id:
            raise ContentError("a thread id must not be empty")
        if len({each.changeset.id for each in changesets}) < len(changesets):
            raise ContentError("two changesets of the append have the same id")
        for each in changesets:
            _check_stream(each.changeset)
        # A state folded by the author is valid only after exactly that version.
        assert expected != ANY or all(each.state is None for each in changesets)
        return cls(changesets, expected, condition, after)

    @property
    def thread_id(self) -> str:
        return self.changesets[0].changeset.thread_id

    def result(self) -> Written:
        """Return where the append is stored, or raise the reason why it was refused."""
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


def _check_stream(changeset: Changeset) -> None:
    if changeset.entry is None and not changeset.thread_id.startswith(CONTROL):
        return
    if not changeset.entry or not changeset.run_id or changeset.thread_id != control_stream(changeset.run_id):
        raise ContentError(
            f"a command to a run must be appended to its control stream, {CONTROL!r} and the run's id, and "
            f"nothing else may be: not to {changeset.thread_id!r}"
        )
