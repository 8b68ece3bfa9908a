from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.action_strategies import reduced_histories
from support.reducers import REDUCERS, Budget, Spend, budget, counter
from threadlog.reducers import (
    Divergence,
    Increment,
    NotChecked,
    Reducer,
    Reducers,
    Set,
    StateAction,
    check_reducers,
    replay,
)
from threadlog.store import Changeset, TrackedPatch
from threadlog.store.document import same

HERE = Reducers(REDUCERS)


def logged(*batches: Sequence[StateAction]) -> list[Changeset]:
    """A history in which each batch of actions is one changeset."""
    document: Any = {}
    made = []
    for version, batch in enumerate(batches, 1):
        records = [HERE.record(action, source="test") for action in batch]
        actions, patches, document = HERE.reduce(document, records)
        fields: dict[str, Any] = {"id": f"c{version}", "thread_id": "t1", "reason": "edited", "at": 0}
        made.append(Changeset(**fields, version=version, actions=actions, patches=patches))
    return made


def with_patches(changeset: Changeset, *patches: TrackedPatch) -> Changeset:
    return changeset.model_copy(update={"patches": patches})


def patch(path: str, value: Any, action: int | None = None) -> TrackedPatch:
    return TrackedPatch(operations=({"op": "add", "path": path, "value": value},), source="me", action=action)


def twice(slice: Budget, action: Spend) -> Budget:
    return slice.model_copy(update={"spent": slice.spent + 2 * action.amount, "items": ["something"]})


def refusing(slice: Budget, action: Spend) -> Budget:
    raise ValueError("not today")


def changed(function: Any) -> Reducers:
    """The reducers of another day: `budget` is another function."""
    return Reducers([Reducer("budget", Budget, (Spend,), "/budget", "thread", function), counter])


@given(reduced_histories())
def test_actions_reduced_again_give_the_logged_patches(history: list[Changeset]) -> None:
    """law 8: check_reducers(h, the reducers that made h) == []"""
    assert list(check_reducers(history, HERE)) == []


@given(reduced_histories(), st.data())
def test_a_history_may_be_checked_from_any_version_on(history: list[Changeset], data: st.DataObject) -> None:
    """check_reducers(h[n:], state of h[:n]) finds nothing where check_reducers(h) finds nothing"""
    n = data.draw(st.integers(0, len(history)))

    assert list(check_reducers(history[n:], HERE, replay(history[:n]).state)) == []


@given(reduced_histories(), st.data())
def test_a_patch_that_was_taken_away_is_found(history: list[Changeset], data: st.DataObject) -> None:
    """a history without one of its patches has a finding, and the first is that patch's action"""
    places = [(n, m) for n, changeset in enumerate(history) for m in range(len(changeset.patches))]
    if not places:
        return
    n, m = data.draw(st.sampled_from(places))
    patches = history[n].patches
    history[n] = with_patches(history[n], *patches[:m], *patches[m + 1 :])

    # Only the first: what follows may not even apply.
    found = next(check_reducers(history, HERE))

    assert isinstance(found, Divergence)
    assert (found.version, found.action) == (n + 1, patches[m].action)


def test_a_changed_reducer_is_found_and_the_first_difference_is_named() -> None:
    history = logged([Spend(amount=0)], [Set("/a", 1), Spend(amount=3)])

    found = list(check_reducers(history, changed(twice)))

    assert found == [Divergence("t1", 2, "/budget/items/1", "something", "(nothing)", 1, "budget")]
    assert str(found[0]) == (
        "thread 't1', version 2: at '/budget/items/1' the log has 'something', "
        "action 1 of 'budget' gives '(nothing)'"
    )


def test_both_values_of_a_difference_are_named() -> None:
    history = logged([Spend(amount=3)])

    found = list(check_reducers(history, changed(twice)))

    assert found == [Divergence("t1", 1, "/budget/spent", 3, 6, 0, "budget")]


def test_after_a_difference_later_versions_are_judged_by_the_logged_state() -> None:
    """One change is found once: the state continues as logged."""
    history = logged([Set("/n", 10)], [Increment("/n")], [Increment("/n")])
    history[0] = history[0].model_copy(update={"actions": logged([Set("/n", 1)])[0].actions})

    assert list(check_reducers(history, HERE)) == [Divergence("t1", 1, "/n", 10, 1, 0, "generic")]


def test_a_tampered_value_is_found() -> None:
    history = logged([Set("/a", 1)], [Spend(amount=3)])
    history[1] = with_patches(history[1], patch("/budget", {"spent": 4, "items": ["something"]}, action=0))

    assert list(check_reducers(history, HERE)) == [Divergence("t1", 2, "/budget/spent", 4, 3, 0, "budget")]


def test_a_patch_where_the_action_does_nothing_is_found() -> None:
    history = logged([Set("/a", 1)], [Set("/a", 1)])
    history[1] = with_patches(history[1], patch("/a", 2, action=0))

    assert list(check_reducers(history, HERE)) == [Divergence("t1", 2, "/a", 2, 1, 0, "generic")]


def test_the_same_effect_by_other_operations_is_found() -> None:
    """the operations are named, as there is no place where the states differ"""
    history = logged([Set("/a", {"b": 1})], [Set("/a/b", 2)])
    history[1] = with_patches(history[1], patch("/a/b", 2, action=0))

    (found,) = check_reducers(history, HERE)

    assert isinstance(found, Divergence)
    assert (found.pointer, found.logged[0]["op"], found.now[0]["op"]) == ("/a/b", "add", "replace")


def test_an_action_that_is_refused_today_is_found() -> None:
    (found,) = check_reducers(logged([Spend(amount=3)]), changed(refusing))

    assert isinstance(found, Divergence)
    assert (found.version, found.pointer) == (1, "/budget")
    assert "a refusal: reducer 'budget' failed" in found.now


def test_a_patch_made_by_hand_is_reported_as_not_checked() -> None:
    history = logged([Set("/a", 1)], [Increment("/a")])
    history[0] = with_patches(history[0], *history[0].patches, patch("/a", 5))
    history[1] = with_patches(
        history[1], patch("/b", 1), *logged([Set("/a", 5)], [Increment("/a")])[1].patches
    )

    assert list(check_reducers(history, HERE)) == [
        NotChecked("t1", 1, "a patch of 'me' has no action"),
        NotChecked("t1", 2, "a patch of 'me' has no action"),
    ]
    assert str(NotChecked("t1", 1, "why")) == "thread 't1', version 1: why"


def test_a_second_patch_of_an_action_is_reported() -> None:
    history = logged([Set("/a", 1), Set("/b", 1)])
    first, second = history[0].patches
    history[0] = with_patches(history[0], first, patch("/a", 2, action=0), second)

    assert list(check_reducers(history, HERE)) == [NotChecked("t1", 1, "a patch of 'me' has no action")]


def test_a_patch_of_an_action_that_is_not_there_is_reported() -> None:
    history = logged([Set("/a", 1)])
    history[0] = with_patches(history[0], *history[0].patches, patch("/a", 2, action=7))

    assert list(check_reducers(history, HERE)) == [NotChecked("t1", 1, "a patch of 'me' has no action")]


def test_patches_in_another_order_are_found() -> None:
    history = logged([Set("/a", 1), Set("/a", 2)])
    history[0] = with_patches(history[0], *reversed(history[0].patches))

    assert next(check_reducers(history, HERE)) == Divergence("t1", 1, "/a", "(nothing)", 1, 0, "generic")


def test_an_unknown_reducer_is_reported_as_not_checked_and_the_rest_is_checked() -> None:
    history = logged([Spend(amount=3)], [Set("/budget/spent", 1)], [Spend(amount=1)])

    assert list(check_reducers(history, Reducers())) == [
        NotChecked("t1", 1, "the reducer 'budget' is not here"),
        NotChecked("t1", 3, "the reducer 'budget' is not here"),
    ]


def test_the_state_that_a_check_starts_from_is_left_alone() -> None:
    history, state = logged([Set("/a", 1)]), {"b": [1]}

    assert list(check_reducers(history, Reducers([budget]), state)) == []
    assert same(state, {"b": [1]})
