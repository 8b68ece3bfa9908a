import pytest

from support.reducers import Budget, Count, Spend, budget, counter
from threadlog.reducers import Reducer, Reducers, Set, StateAction
from threadlog.reducers.scope import route
from threadlog.store.changeset import ActionRecord, Scope
from threadlog.store.errors import ActionError

REDUCERS = Reducers([budget, counter])


def records(
    *actions: StateAction, reducers: Reducers = REDUCERS, call_id: str | None = None
) -> list[ActionRecord]:
    return [reducers.record(action, source="test", call_id=call_id) for action in actions]


ROUTES: list[tuple[Scope, str, str | None, str]] = [
    ("thread", "/a/b", None, "/a/b"),
    ("thread", "", None, ""),
    ("thread", "/id", None, "/id"),
    ("thread", "/a/__b", "c1", "/a/__b"),
    ("run", "/a", "c1", "/__run/a"),
    ("tool_call", "/a", "c1", "/__tool_call_scope/c1/a"),
    ("tool_call", "/a", "call.1", "/__tool_call_scope/call.1/a"),
    ("tool_call", "/a", "x/y~z", "/__tool_call_scope/x~1y~0z/a"),
]


@pytest.mark.parametrize(("scope", "path", "call_id", "expected"), ROUTES)
def test_an_action_is_routed_to_its_scope(
    scope: Scope, path: str, call_id: str | None, expected: str
) -> None:
    """A call id is one token whatever it contains: it is never taken apart at its dots"""
    assert route(scope, path, call_id) == expected


KEPT: list[tuple[Scope, str]] = [
    ("thread", "/__run"),
    ("thread", "/__run/id"),
    ("thread", "/__tool_call_scope/c1/tool_call_state"),
    ("thread", "/__kernel"),
    ("thread", "/__anything"),
    ("run", "/id"),
    ("run", "/status"),
    ("run", "/done_reason"),
    ("run", "/__mine"),
    ("tool_call", "/tool_call_state"),
    ("tool_call", "/tool_call_state/status"),
    ("tool_call", "/suspended_call"),
]


@pytest.mark.parametrize(("scope", "path"), KEPT)
def test_what_threadlog_keeps_is_refused_to_users(scope: Scope, path: str) -> None:
    action = Set(path, 1, scope=scope)

    with pytest.raises(ActionError, match="kept by threadlog itself"):
        REDUCERS.reduce({}, records(action, call_id="c1"))


@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("scope", ["run", "tool_call"])
def test_a_scope_as_a_whole_is_no_place_to_write(scope: Scope, path: str) -> None:
    with pytest.raises(ActionError, match="name a place in it"):
        REDUCERS.reduce({}, records(Set(path, {}, scope=scope), call_id="c1"))


@pytest.mark.parametrize("call_id", [None, ""])
def test_an_action_for_a_tool_call_that_names_none_is_refused(call_id: str | None) -> None:
    """it is refused, for it would be written to another place than the one that was meant"""
    with pytest.raises(ActionError, match="names no tool call"):
        REDUCERS.reduce({}, records(Set("/a", 1, scope="tool_call"), call_id=call_id))


def test_a_reducer_of_each_scope_writes_into_it() -> None:
    per_call = Reducer("call", Budget, (Spend,), "/budget", "tool_call", budget.function)
    reducers = Reducers([per_call, counter])

    reduction = reducers.reduce({}, records(Spend(amount=1), Count(), reducers=reducers, call_id="c/1"))

    assert reduction.state == {
        "__tool_call_scope": {"c/1": {"budget": {"spent": 1, "items": ["something"]}}},
        "__run": {"counter": {"n": 1}},
    }
    assert [action.call_id for action in reduction.actions] == ["c/1", None]
