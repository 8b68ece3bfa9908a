"""The cases: in which scene, which call goes wrong, and how."""

import random
from typing import NamedTuple

from campaign.faults.injection import FOREVER, How, Kind


class Way(NamedTuple):
    """How a call goes wrong."""

    how: How
    is_for_ever: bool = False

    def __str__(self) -> str:
        return self.how.name.lower() + ("_for_ever" if self.is_for_ever else "")


BROKEN = Way(How.FAIL, is_for_ever=True)
FULL = Way(How.FILL, is_for_ever=True)
AROUND = [Way(How.FAIL), Way(How.KILL_BEFORE), Way(How.KILL_AFTER)]
WAYS: dict[Kind, list[Way]] = {
    # Of writes and locks there are very many, and to die before one is to die behind another.
    Kind.WRITE: [Way(How.FAIL), FULL, Way(How.SHORT), Way(How.KILL_AMID), Way(How.KILL_AFTER)],
    Kind.SYNC: [*AROUND, BROKEN],
    # Not for ever: SQLite sleeps for ten seconds in every attempt to read then.
    Kind.LOCK: [Way(How.FAIL)],
    Kind.OPEN: [*AROUND, BROKEN, Way(How.FILL), FULL],
    Kind.CUT: [*AROUND, BROKEN],
}


class Case(NamedTuple):
    """One call in one scene that goes wrong."""

    scene: str
    kind: Kind
    way: Way
    number: int

    def __str__(self) -> str:
        return f"{self.scene} {self.kind.name.lower()} {self.way} {self.number}"

    @property
    def last(self) -> int:
        """The last call that goes wrong: what was cut short is tried again, and finds no space."""
        return FOREVER if self.way.is_for_ever else self.number + (self.way.how is How.SHORT)


def case_of(text: str) -> Case:
    """A case from what it is called."""
    scene, kind, way, number = text.split()
    (found,) = (each for each in WAYS[Kind[kind.upper()]] if str(each) == way)
    return Case(scene, Kind[kind.upper()], found, int(number))


def chosen(name: str, counts: dict[Kind, int], seed: int) -> list[Case]:
    """Two cases of a scene: a write, and one of the others."""
    dice = random.Random(f"{seed} {name}")
    other = dice.choice([kind for kind, number in counts.items() if number and kind is not Kind.WRITE])
    return [
        Case(name, kind, dice.choice(WAYS[kind]), dice.randint(1, counts[kind]))
        for kind in (Kind.WRITE, other)
    ]
