"""The place of a durable event in the log."""

from typing import NamedTuple, Self


class Cursor(NamedTuple):
    """The place of a durable event in the log. Later events have greater cursors, on any thread."""

    position: int
    """The log position of the changeset that the event is derived from."""

    number: int
    """The index of the event among those of its changeset."""

    @classmethod
    def before(cls, position: int) -> Self:
        """Return the cursor before all events of a changeset."""
        return cls(position, -1)

    @classmethod
    def after(cls, position: int) -> Self:
        """Return the cursor after all events of a changeset."""
        return cls(position + 1, -1)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that `str` wrote.

        Raises:
            ValueError: the text is not two integers with a dot between them.
        """
        position, number = text.split(".")
        if not (text.isascii() and position.isdigit() and number.isdigit() and len(text) < 40):
            raise ValueError(f"{text!r} is not a cursor like 12.0")
        return cls(int(position), int(number))

    def __str__(self) -> str:
        return f"{self.position}.{self.number}"
