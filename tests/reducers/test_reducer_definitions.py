"""How reducers are defined, and which definitions are refused."""

from typing import Any

import pytest

from support.reducers import Budget, Count, Spend, budget, counter
from threadlog.reducers import Action, Reducer, Reducers, reducer
from threadlog.store.errors import DefinitionError


def named(name: str, *actions: type[Action]) -> Reducer:
    return Reducer(name, Budget, actions, "/x", "thread", lambda slice, action: slice)


@pytest.mark.parametrize("name", ["budget", "generic", "run", "tool_call", "tool_calls"])
def test_two_reducers_of_one_name_are_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match=f"two reducers are called '{name}'"):
        Reducers([budget, named(name, Count)])


def test_two_reducers_of_one_action_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two reducers handle Spend"):
        Reducers([budget, named("other", Spend)])


def test_the_same_reducer_given_twice_is_one() -> None:
    reducers = Reducers([budget, budget])
    record = reducers.record(Spend(amount=3), source="test")

    assert reducers.reduce({}, [record]) == Reducers([budget]).reduce({}, [record])


def test_the_decorator_reads_the_types_and_takes_the_name_of_the_function() -> None:
    @reducer("/x", scope="run")
    def both(slice: Budget, action: Spend | Count) -> Budget:
        return slice

    assert (both.name, both.slice, both.actions) == ("both", Budget, (Spend, Count))
    assert (both.path, both.scope, counter.name) == ("/x", "run", "run counter")


def unannotated(slice, action):  # type: ignore[no-untyped-def]
    return slice


def one_annotation(slice: Budget, action) -> Budget:  # type: ignore[no-untyped-def]
    return slice


def one_parameter(slice: Budget) -> Budget:
    return slice


def three_parameters(slice: Budget, action: Spend, more: int) -> Budget:
    return slice


def no_model(slice: dict[str, Any], action: Spend) -> Budget:
    return Budget()


def another_model(slice: int, action: Spend) -> Budget:
    return Budget()


def no_action(slice: Budget, action: Budget) -> Budget:
    return slice


def partly_an_action(slice: Budget, action: Spend | None) -> Budget:
    return slice


@pytest.mark.parametrize(
    "function",
    [
        unannotated,
        one_annotation,
        one_parameter,
        three_parameters,
        no_model,
        another_model,
        no_action,
        partly_an_action,
    ],
)
def test_the_decorator_refuses_a_function_that_does_not_say_what_it_is_for(function: Any) -> None:
    with pytest.raises(DefinitionError, match=function.__name__):
        reducer("/x")(function)
