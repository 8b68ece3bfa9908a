"""State slices of a test agent: a budget per thread and a counter per run."""

from collections.abc import Sequence

from pydantic import BaseModel

from threadlog.reducers import Action, Reducer, reducer


class Budget(BaseModel):
    """The slice at `/budget`."""

    spent: int = 0
    items: list[str] = []


class Spend(Action):
    """Add an amount and an item to the budget. A negative amount is an error."""

    amount: int
    item: str = "something"


@reducer("/budget")
def budget(slice: Budget, action: Spend) -> Budget:
    if action.amount < 0:
        raise ValueError("money does not come back")
    slice.items.append(action.item)
    return slice.model_copy(update={"spent": slice.spent + action.amount})


class Count(Action):
    """An action without fields."""


class Counter(BaseModel):
    """The slice at `/counter`, in the scope of a run."""

    n: int = 0


@reducer("/counter", scope="run", name="run counter")
def counter(slice: Counter, action: Count) -> Counter:
    return Counter(n=slice.n + 1)


REDUCERS: Sequence[Reducer] = (budget, counter)
