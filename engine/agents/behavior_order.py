"""The order in which an agent's behaviors are asked: as declared, with every `after` and `before` respected."""

from collections.abc import Sequence

from ...store.errors import DefinitionError
from .behavior import Behavior


def ordered(behaviors: Sequence[Behavior]) -> list[Behavior]:
    """The behaviors with every wish of `after` and `before` granted, else as they were given.

    Raises:
        DefinitionError: the wishes go round in a circle.
    """
    left, done = list(behaviors), list[Behavior]()
    while left:
        names = {behavior.name for behavior in left}
        free = [b for b in left if not _predecessors(b, left) & (names - {b.name})]
        if not free:
            raise DefinitionError(f"behaviors want to go before each other in a circle: {sorted(names)}")
        done.append(free[0])
        left.remove(free[0])
    return done


def _predecessors(behavior: Behavior, others: Sequence[Behavior]) -> set[str]:
    return set(behavior.after) | {other.name for other in others if behavior.name in other.before}
