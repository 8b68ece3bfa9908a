"""Deliberate faults, one at a time: each breaks a promise, and the tests named for it must fail.

name         the fault, in words
file, text   where it is put in: the text stands there exactly once
becomes      what stands there with the fault
tests        who catches it: pytest's node ids, below tests/
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One deliberate fault."""

    name: str
    file: str
    text: str
    becomes: str
    tests: list[str]

    def applied(self, source: str) -> str:
        """The source with the fault.

        Raises:
            ValueError: the text does not stand there exactly once.
        """
        if (count := source.count(self.text)) != 1:
            raise ValueError(f"{self.name!r}: its text stands {count} times in {self.file}, not once")
        return source.replace(self.text, self.becomes)
