from typing import Any, get_args

import pytest
from pydantic import ValidationError

from support.action_strategies import CALL
from support.checks import CALL_TRANSITIONS
from support.reducers import Count, counter
from threadlog.reducers import Reducers, Set, StateAction
from threadlog.reducers.run import ApplyCommands, MoveRun, StartRun, done_reason
from threadlog.reducers.run import Status as RunStatus
from threadlog.reducers.tool_call import ForgetToolCalls, MoveToolCall
from threadlog.reducers.tool_call import Status as CallStatus
from threadlog.store.changeset import Termination
from threadlog.store.errors import ActionError

REDUCERS = Reducers([counter])

RUN_STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)
CALL_STATUSES: tuple[CallStatus, ...] = get_args(CallStatus)


def after(document: Any, *actions: StateAction, call_id: str | None = None) -> Any:
    records = [REDUCERS.record(action, source="agent_loop", call_id=call_id) for action in actions]
    return REDUCERS.reduce(document, records).state


def run(status: RunStatus, reason: str | None = None, **scope: Any) -> dict[str, Any]:
    return {"__run": {"id": "r1", "status": status, "done_reason": reason, "control": 0, **scope}}


def moved(status: RunStatus, reason: str | None = None, run_id: str = "r1") -> MoveRun:
    return MoveRun(run_id=run_id, status=status, done_reason=reason)


def call(status: CallStatus, call_id: str = "c1") -> MoveToolCall:
    return MoveToolCall(call_id=call_id, name="add", arguments={"a": 1}, status=status)


def record(status: CallStatus, call_id: str = "c1") -> dict[str, Any]:
    asked = {"call_id": call_id, "name": "add", "arguments": {"a": 1}, "status": status}
    return {**asked, "suspension": None, "decision": None}


def calls(*statuses: CallStatus) -> Any:
    return after({}, *map(call, statuses), call_id="c1")


def test_a_run_begins_running() -> None:
    assert after({}, StartRun(run_id="r1")) == run("running")


RUN_MOVES = [
    ("running", "running"),
    ("running", "waiting"),
    ("running", "done"),
    ("waiting", "waiting"),
    ("waiting", "running"),
    ("waiting", "done"),
    ("done", "done"),
]


@pytest.mark.parametrize("to", RUN_STATUSES)
@pytest.mark.parametrize("status", RUN_STATUSES)
def test_a_run_moves_as_its_table_says_and_in_no_other_way(status: RunStatus, to: RunStatus) -> None:
    if (status, to) in RUN_MOVES:
        assert after(run(status), moved(to, "why")) == run(to, "why")
    else:
        with pytest.raises(ActionError, match=f"run 'r1' cannot become '{to}'"):
            after(run(status), moved(to))


def test_only_the_run_of_the_thread_moves() -> None:
    with pytest.raises(ActionError, match="run 'r2' cannot become 'done': the thread's run is 'r1'"):
        after(run("running"), moved("done", run_id="r2"))


def test_a_run_that_never_started_does_not_move() -> None:
    with pytest.raises(ActionError, match="run 'r1' cannot become 'running'"):
        after({}, moved("running"))


def test_what_a_run_keeps_stays_when_it_moves() -> None:
    document = after(
        {}, StartRun(run_id="r1"), Set("/note", 1, scope="run"), Count(), moved("done", "natural")
    )

    assert document == run("done", "natural", note=1, counter={"n": 1})


def test_what_a_run_kept_is_forgotten_when_the_next_one_starts() -> None:
    """At the start of the next run, not at the end of this one: until then it can be looked at"""
    document = {"mine": 1, **run("done", "natural", note=1, counter={"n": 1})}

    assert after(document, StartRun(run_id="r2")) == {
        "mine": 1,
        "__run": {"id": "r2", "status": "running", "done_reason": None, "control": 0},
    }


def test_a_run_may_start_over_one_that_never_ended() -> None:
    assert after(run("running", note=1), StartRun(run_id="r2"))["__run"]["id"] == "r2"


def test_an_entry_is_taken_in_once() -> None:
    taken = after(run("running"), ApplyCommands(through=2, place="step"))
    assert taken == run("running", control=2)

    for through in (1, 2):
        with pytest.raises(ActionError, match="applied before"):
            after(taken, ApplyCommands(through=through, place="end"))


REASONS = [
    (Termination(type="natural_end"), "natural"),
    (Termination(type="stopped", code="max_rounds"), "stopped:max_rounds"),
    (Termination(type="stopped", code=" My Rule"), "stopped: My Rule"),
    (Termination(type="cancelled"), "cancelled"),
    (Termination(type="error", detail="why"), "error"),
    (Termination(type="behavior_requested"), "behavior_requested"),
    (Termination(type="suspended"), None),
]


@pytest.mark.parametrize(("termination", "word"), REASONS)
def test_the_record_keeps_a_word_of_each_end(termination: Termination, word: str | None) -> None:
    """The code of a rule is kept verbatim, because users compare it."""
    assert done_reason(termination) == word


def test_an_end_has_one_name() -> None:
    """Other systems once called an end that a behavior asks for otherwise, and read both names. No log of
    ours has the other one, and what is not known is refused."""
    with pytest.raises(ValidationError):
        Termination.model_validate({"type": "plugin_requested"})


def test_a_call_is_recorded_under_its_id_as_one_token() -> None:
    """Without a moment: the changeset that moves it has one. What tools and behaviors note about the call
    stands beside the record, in the call's scope."""
    document = after({}, call("new", CALL), call_id=CALL)

    assert document == {"__tool_call_scope": {CALL: {"tool_call_state": record("new", CALL)}}}


WAYS: dict[CallStatus, list[CallStatus]] = {"resuming": ["suspended", "resuming"], "new": []}
"""How a new call comes to be in a status, if not at once."""


@pytest.mark.parametrize("to", CALL_STATUSES)
@pytest.mark.parametrize("status", CALL_STATUSES)
def test_a_call_moves_as_its_table_says_and_in_no_other_way(status: CallStatus, to: CallStatus) -> None:
    document = calls("new", *WAYS.get(status, [status]))

    if to in CALL_TRANSITIONS[status]:
        found = after(document, call(to), call_id="c1")
        assert found["__tool_call_scope"]["c1"]["tool_call_state"] == record(to)
    else:
        with pytest.raises(ActionError, match=f"transition for 'c1': {status} -> {to}"):
            after(document, call(to), call_id="c1")


def test_what_calls_kept_is_forgotten_when_the_user_speaks() -> None:
    document = after(calls("new", "succeeded"), Set("/note", 1, scope="tool_call"), call_id="c2")

    assert after(document, ForgetToolCalls()) == {"__tool_call_scope": {}}


def test_to_forget_calls_where_there_were_none_changes_nothing() -> None:
    records = [REDUCERS.record(ForgetToolCalls(), source="agent_loop")]

    assert REDUCERS.reduce({"a": 1}, records).patches == ()
