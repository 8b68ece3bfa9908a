from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from support.action_strategies import user_actions
from support.reducers import Budget, Count, Spend, budget, counter
from support.strategies import documents
from threadlog.reducers import Action, Append, Increment, Reducer, Reducers, Set, StateAction, reducer
from threadlog.store.changeset import ActionRecord
from threadlog.store.document import same
from threadlog.store.errors import ActionError
from threadlog.store.patch import Operation, apply

REDUCERS = Reducers([budget, counter])


def records(
    *actions: StateAction, reducers: Reducers = REDUCERS, call_id: str | None = None
) -> list[ActionRecord]:
    return [reducers.record(action, source="test", call_id=call_id) for action in actions]


def reduced(document: Any, *actions: StateAction, reducers: Reducers = REDUCERS) -> Any:
    return reducers.reduce(document, records(*actions, reducers=reducers)).state


def operations(document: Any, action: StateAction, reducers: Reducers = REDUCERS) -> list[Operation]:
    return reducers.operations(document, records(action, reducers=reducers)[0])


def only(function: Callable[[Any, Any], Any], path: str = "/budget") -> Reducers:
    """Reducers with one, whose function does what a test wants to see refused."""
    return Reducers([Reducer("mine", Budget, (Spend,), path, "thread", function)])


def test_the_patch_is_the_difference_of_fields() -> None:
    document = {"budget": {"spent": 3, "items": ["a"]}}

    assert operations(document, Spend(amount=4, item="b")) == [
        {"op": "add", "path": "/budget/items/1", "value": "b"},
        {"op": "replace", "path": "/budget/spent", "value": 7},
    ]


def test_a_field_that_does_not_change_has_no_operation() -> None:
    assert operations({"budget": {"spent": 3}}, Spend(amount=0, item="b")) == [
        {"op": "add", "path": "/budget/items", "value": ["b"]}
    ]


@pytest.mark.parametrize("document", [{}, {"budget": None}, {"budget": {}}, {"budget": {"spent": 0}}])
def test_an_action_that_changes_nothing_has_no_operation(document: Any) -> None:
    assert operations(document, Spend(amount=0), only(lambda slice, action: slice)) == []


@pytest.mark.parametrize(("document", "op"), [({}, "add"), ({"budget": None}, "replace")])
def test_a_slice_that_is_not_there_starts_from_its_defaults(document: Any, op: str) -> None:
    assert operations(document, Spend(amount=1, item="a")) == [
        {"op": op, "path": "/budget", "value": {"spent": 1, "items": ["a"]}}
    ]


class Inner(BaseModel):
    n: int = 0


class Outer(BaseModel):
    inner: Inner = Inner()
    by_name: dict[str, Inner] = {}


@reducer("/outer")
def outer(slice: Outer, action: Count) -> Outer:
    return Outer(inner=Inner(n=slice.inner.n + 1))


def test_what_the_slice_does_not_know_is_left_as_it_is() -> None:
    document = {"outer": {"inner": {"n": 1, "unknown": 2}, "unknown": [3], "by_name": {"a": {"n": 1}}}}

    assert operations(document, Count(), Reducers([outer])) == [
        {"op": "remove", "path": "/outer/by_name/a"},
        {"op": "replace", "path": "/outer/inner/n", "value": 2},
    ]


@given(documents, st.lists(user_actions, max_size=4))
def test_a_slice_is_valid_and_everything_else_untouched(
    document: dict[str, Any], actions: list[StateAction]
) -> None:
    """law 7: an accepted batch applies and leaves a valid slice; any other is refused whole"""
    before = deepcopy(document)
    try:
        after = reduced(document, *actions)
    except ActionError:
        after = document

    Budget.model_validate(after.get("budget", {}))
    assert same({k: v for k, v in after.items() if k not in ("budget", "__run")}, before)
    assert same(document, before)


class Aliased(BaseModel):
    total: int = Field(0, alias="sum")


class Add(Action):
    much: int = Field(alias="amount")


@reducer("/aliased")
def aliased(slice: Aliased, action: Add) -> Aliased:
    return Aliased(sum=slice.total + action.much)


def test_a_slice_and_an_action_may_have_aliases() -> None:
    assert reduced({}, Add(amount=2), Add(amount=3), reducers=Reducers([aliased])) == {"aliased": {"sum": 5}}


def test_a_stored_slice_that_is_no_slice_is_refused() -> None:
    with pytest.raises(ActionError, match="the state at '/budget' is no Budget"):
        operations({"budget": {"spent": "much"}}, Spend(amount=1))


def test_each_action_of_a_batch_sees_what_the_one_before_it_did() -> None:
    assert reduced({}, Set("/n", 1), Increment("/n"), Increment("/n"), Append("/list", "a")) == {
        "n": 3,
        "list": ["a"],
    }


def test_each_action_that_changes_something_has_one_patch_that_names_it() -> None:
    reduction = REDUCERS.reduce({"n": 1}, records(Set("/n", 1), Set("/n", 2), Spend(amount=1)), first=5)

    assert [(patch.action, patch.source) for patch in reduction.patches] == [(6, "test"), (7, "test")]
    assert [action.action for action in reduction.actions] == ["Set", "Set", "Spend"]


def test_a_batch_is_reduced_whole_or_not_at_all() -> None:
    document = {"n": [1]}

    with pytest.raises(ActionError, match="requires number"):
        reduced(document, Append("/n", 2), Increment("/n"))

    assert document == {"n": [1]}


def test_a_reducer_that_raises_is_named_and_changes_nothing() -> None:
    document = {"budget": {"spent": 1, "items": []}}

    with pytest.raises(
        ActionError, match=r"reducer 'budget' failed on Spend.*money does not come back"
    ) as error:
        reduced(document, Spend(amount=1), Spend(amount=-1))

    assert isinstance(error.value.__cause__, ValueError)
    assert document == {"budget": {"spent": 1, "items": []}}


def test_a_refusal_by_a_reducer_comes_as_it_is() -> None:
    def refuse(slice: Budget, action: Spend) -> Budget:
        raise ActionError("too much")

    with pytest.raises(ActionError, match=r"^too much$"):
        reduced({}, Spend(amount=1), reducers=only(refuse))


def test_a_reducer_may_change_its_slice_in_place() -> None:
    def spend(slice: Budget, action: Spend) -> Budget:
        slice.items.append("b")
        slice.spent += action.amount
        return slice

    document = {"budget": {"spent": 1, "items": ["a"]}}
    expected = {"budget": {"spent": 3, "items": ["a", "b"]}}

    assert reduced(document, Spend(amount=2), reducers=only(spend)) == expected
    assert document == {"budget": {"spent": 1, "items": ["a"]}}


BROKEN: list[tuple[Any, str]] = [
    (lambda slice, action: None, "reducer 'mine' returned None, which is no Budget"),
    (lambda slice, action: action, "which is no Budget"),
    (lambda slice, action: slice.model_copy(update={"spent": "x"}), "reducer 'mine' failed"),
    (lambda slice, action: Budget(spent=2**70), "beyond 64 bits"),
    (lambda slice, action: Budget(items=["\ud800"]), "surrogate"),
    (lambda slice, action: slice.model_copy(update={"items": [object()]}), "reducer 'mine' failed"),
]


@pytest.mark.parametrize(("function", "text"), BROKEN)
def test_what_a_reducer_returns_must_be_a_slice_that_the_log_can_keep(
    function: Callable[[Any, Any], Any], text: str
) -> None:
    with pytest.raises(ActionError, match=text):
        reduced({}, Spend(amount=1), reducers=only(function))


class Whole(BaseModel):
    model_config = ConfigDict(extra="allow")


def test_a_slice_at_the_root_does_not_reach_what_threadlog_keeps_there() -> None:
    emptied = Reducers([Reducer("whole", Whole, (Count,), "", "thread", lambda slice, action: Whole())])

    assert reduced({"a": 1}, Count(), reducers=emptied) == {}
    with pytest.raises(ActionError, match="what threadlog itself keeps"):
        reduced({"a": 1, "__run": {"id": "r1"}}, Count(), reducers=emptied)


def test_an_action_that_no_reducer_understands_is_refused() -> None:
    with pytest.raises(ActionError, match="no reducer here understands Spend"):
        Reducers().record(Spend(amount=1), source="test")


@pytest.mark.parametrize("action", [5, "Set", None, {"op": "add"}])
def test_what_is_no_action_is_refused(action: Any) -> None:
    with pytest.raises(ActionError, match="no reducer here understands"):
        REDUCERS.record(action, source="test")


STRANGE: list[tuple[dict[str, Any], str]] = [
    ({"reducer": "lost", "action": "Spend"}, "unknown reducer: 'lost'"),
    ({"reducer": "budget", "action": "Earn"}, "does not understand 'Earn'"),
    ({"reducer": "budget", "action": "Spend", "payload": {"much": 1}}, "does not fit today's class"),
    ({"reducer": "generic", "action": "Swap"}, "unknown generic action 'Swap'"),
    ({"reducer": "generic", "action": "Set", "payload": {"path": "/a"}}, "unknown generic action 'Set'"),
    ({"reducer": "generic", "action": "Delete", "payload": {"path": ["a"]}}, "no JSON pointer"),
]


@pytest.mark.parametrize(("fields", "text"), STRANGE)
def test_a_record_that_is_not_understood_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ActionError, match=text):
        REDUCERS.operations({}, ActionRecord(source="test", **fields))


NO_JSON = [float("nan"), float("-inf"), 2**64, "\ud800", (1,), {1, 2}, {1: 2}, b"bytes", object()]


@pytest.mark.parametrize("value", NO_JSON, ids=lambda value: type(value).__name__)
def test_an_action_that_the_log_could_not_keep_is_refused(value: Any) -> None:
    with pytest.raises(ActionError, match="the log cannot store Set"):
        REDUCERS.record(Set("/a", [value]), source="test")


class Measure(Action):
    value: Any


def test_an_action_of_a_user_that_the_log_could_not_keep_is_refused() -> None:
    reducers = Reducers([Reducer("m", Budget, (Measure,), "/m", "thread", lambda slice, action: slice)])

    for value in (float("nan"), 2**70, object()):
        with pytest.raises(ActionError, match="the log cannot store Measure"):
            reducers.record(Measure(value=value), source="test")


def test_the_record_of_an_action_says_all_that_is_needed_to_reduce_it_again() -> None:
    assert REDUCERS.record(Set("/a", 1, scope="run"), source="me", call_id="c1") == ActionRecord(
        reducer="generic", action="Set", payload={"path": "/a", "value": 1}, scope="run", source="me"
    )
    assert REDUCERS.record(Spend(amount=1), source="me") == ActionRecord(
        reducer="budget", action="Spend", payload={"amount": 1, "item": "something"}, source="me"
    )


def test_a_patch_that_a_reducer_made_applies_to_what_it_was_made_for() -> None:
    document = {"budget": {"spent": 1, "items": ["a"], "more": 1}}
    action = Spend(amount=2, item="b")

    assert apply(document, operations(document, action)) == reduced(document, action)
