"""Actions as hypothesis draws them, and histories of what they did."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from support.reducers import REDUCERS, Count, Spend
from support.strategies import json, keys, places
from threadlog.reducers import (
    Append,
    Decrement,
    Delete,
    Increment,
    Insert,
    Merge,
    Reducers,
    Remove,
    Set,
    StateAction,
)
from threadlog.store import Changeset
from threadlog.store.changeset import Scope
from threadlog.store.codec import decode, encode
from threadlog.store.errors import ActionError
from threadlog.store.patch import MISSING, find


@contextmanager
def fresh_path() -> Iterator[Path]:
    """A place for a log of its own, for every example of a law."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "log.db"


numbers = st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from([2**63 - 1, -(2**63), 1e308, 0.5, -0.0])
paths = st.lists(keys, max_size=3).map(
    lambda way: "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in way)
)


@st.composite
def generic_actions(draw: st.DrawFn, document: Any, scope: Scope = "thread") -> StateAction:
    """An action that means a place of the document, or one that is not there; it may be refused."""
    there = sorted(path for path, _ in places(document))
    path = draw(st.sampled_from(there) | st.sampled_from(there) | paths)
    found = find(document, path)
    item = st.sampled_from(found) | json if type(found) is list and found else json
    match draw(st.sampled_from([Set, Delete, Append, Insert, Remove, Merge, Increment, Decrement])).__name__:
        case "Delete":
            return Delete(path, scope=scope)
        case "Insert":
            return Insert(path, draw(st.integers(-1, 4)), draw(json), scope=scope)
        case "Remove":
            return Remove(path, draw(item), scope=scope)
        case "Merge":
            return Merge(path, draw(st.dictionaries(keys, json, max_size=3)), scope=scope)
        case "Append":
            return Append(path, draw(json), scope=scope)
        case "Increment":
            return Increment(path, draw(numbers), scope=scope)
        case "Decrement":
            return Decrement(path, draw(numbers), scope=scope)
    value = draw(json | st.just({} if found is MISSING else found))
    return Set(path, value, scope=scope)


user_actions: st.SearchStrategy[StateAction] = st.one_of(
    st.builds(Spend, amount=st.integers(-1, 9), item=st.text(max_size=3)), st.just(Count())
)

CALL = "call.1/~"
"""A call id that would be more than one token if it were not escaped."""

BASES: dict[Scope, str] = {"thread": "", "run": "/__run", "tool_call": "/__tool_call_scope/call.1~1~0"}


@st.composite
def any_actions(draw: st.DrawFn, document: Any) -> StateAction:
    """A generic action in any scope, or one of the user's."""
    if draw(st.integers(0, 2)) == 0:
        return draw(user_actions)
    scope: Scope = draw(st.sampled_from(["thread", "thread", "run", "tool_call"]))
    found = find(document, BASES[scope])
    return draw(generic_actions({} if found is MISSING else found, scope))


@st.composite
def reduced_histories(draw: st.DrawFn, *, longest: int = 6) -> list[Changeset]:
    """Changesets of thread t1 as they come back from the log: their patches are what their actions gave."""
    reducers = Reducers(REDUCERS)
    document: Any = {}
    made: list[Changeset] = []
    for _ in range(draw(st.integers(1, longest))):
        wanted = draw(st.lists(any_actions(document), max_size=4))
        try:
            records = [reducers.record(action, source="test", call_id=CALL) for action in wanted]
            reduction = reducers.reduce(document, records)
        except ActionError:
            continue
        document = reduction.state
        changeset = Changeset(
            id=f"c{len(made)}",
            thread_id="t1",
            reason="edited",
            at=0,
            actions=reduction.actions,
            patches=reduction.patches,
        )
        made.append(decode(encode(changeset), version=len(made) + 1))
    return made
