"""The order in which an agent's behaviors run: as declared, unless `after` or `before` says otherwise."""

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from ...store.errors import DefinitionError
from .behavior import Behavior


def order_behaviors(behaviors: Sequence[Behavior]) -> list[Behavior]:
    """Return the behaviors in an order that satisfies every `after` and `before`.

    Of the behaviors that may come next, the one declared first does.

    Raises:
        DefinitionError: some behaviors must each come before the next, in a circle.
    """
    sorter = TopologicalSorter({place: _predecessors(place, behaviors) for place in range(len(behaviors))})
    try:
        sorter.prepare()
    except CycleError as err:
        circle = _names_in_circle(err, behaviors)
        raise DefinitionError(f"behaviors must come before each other in a circle: {circle}") from err
    return [behaviors[place] for place in _declared_first(sorter)]


def _predecessors(place: int, behaviors: Sequence[Behavior]) -> list[int]:
    own = behaviors[place]
    return [
        other_place
        for other_place, other in enumerate(behaviors)
        if other_place != place and (other.name in own.after or own.name in other.before)
    ]


def _declared_first(sorter: TopologicalSorter[int]) -> Iterator[int]:
    ready: list[int] = []
    while sorter.is_active():
        for place in sorter.get_ready():
            heappush(ready, place)
        place = heappop(ready)
        yield place
        sorter.done(place)


def _names_in_circle(err: CycleError, behaviors: Sequence[Behavior]) -> list[str]:
    """Return the names in the circle, each before the next, starting with the smallest name."""
    names = [behaviors[place].name for place in err.args[1][1:]]
    first = names.index(min(names))
    return names[first:] + names[:first]
