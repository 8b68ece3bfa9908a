"""What the campaign is made of: parts, each of which attacks one promise, and what came of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


@dataclass
class Outcome:
    """What a part has done."""

    cases: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """What happened in them, by words that can stand behind a number: `killed`, `runs`."""
    findings: list[str] = field(default_factory=list)
    """What must not be, each with all that it takes to have it again."""

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.cases + other.cases, self.counts + other.counts, [*self.findings, *other.findings]
        )


class Part(NamedTuple):
    """One way to hurt a log."""

    name: str
    does: str
    run: Callable[[int, bool, Path], Outcome]
    """Called with the seed, whether it is to be short, and an empty folder to work in."""
