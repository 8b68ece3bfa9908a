"""Control streams in the log: the commands of a run, in a stream of its own beside its thread."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logs import changeset, fresh_log
from threadlog.store import Log, Message
from threadlog.store.changeset import (
    Changeset,
    ControlEntry,
    RunRequest,
    RunStatus,
    Termination,
    control_stream,
)
from threadlog.store.errors import ContentError, RunOver, VersionConflict

ENDED = RunStatus(status="done", termination=Termination(type="cancelled"))


def entry(run: str = "r1", id: str = "e1", kind: str = "steer", **fields: Any) -> Changeset:
    wanted = ControlEntry.model_validate({"id": id, "kind": kind, **fields})
    stream = control_stream(run)
    return changeset(f"{stream}/{id}", stream, reason="control", run_id=run, entry=wanted)


def request(run: str, thread: str = "t1") -> Changeset:
    hello = Message(id="m1", role="user", content="hello")
    return entry(
        run, "start", "start", start=RunRequest(agent="planner", thread_id=thread, messages=(hello,))
    )


def fill(log: Log, changesets: Iterable[Changeset]) -> None:
    for each in changesets:
        log.append(each, log.head(each.thread_id))


def test_a_command_is_in_the_log_but_not_in_the_list_of_threads(log: Log) -> None:
    log.append(changeset("c1", run_id="r1", run=RunStatus(status="running")), 0)
    log.append(entry(by="ann", content="Be brief"), 0, open_run="r1")

    (read,) = log.read("control/r1")
    assert (read.entry and read.entry.by, read.version) == ("ann", 1)
    assert [row.thread_id for row in log.threads()] == ["t1"]
    assert [each.changeset for each in log.commands_after(0)] == [read]
    assert log.commands_after(2) == []
    assert log.verify() == []


@pytest.mark.parametrize(
    "wrong",
    [
        changeset(thread_id="control/r1"),
        changeset(thread_id="control/r1", run_id="r1"),
        entry().model_copy(update={"thread_id": "t1"}),
        entry().model_copy(update={"run_id": "r2"}),
        entry().model_copy(update={"run_id": None}),
    ],
)
def test_only_commands_can_be_appended_to_a_control_stream(log: Log, wrong: Changeset) -> None:
    with pytest.raises(ContentError, match="control/"):
        log.append(wrong, 0)
    assert log.position() == 0


@pytest.mark.parametrize("fields", [{"kind": "start"}, {"kind": "steer", "start": request("r1").entry}])
def test_only_a_start_command_carries_a_request(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="start"):
        ControlEntry.model_validate({"id": "e1", **fields})


def test_a_finished_run_accepts_no_command(log: Log) -> None:
    log.append(changeset("c1", run_id="r1", run=RunStatus(status="running")), 0)
    log.append(entry(), 0, open_run="r1")
    log.append(changeset("c2", run_id="r1", run=ENDED, control=1), 1, heads={"control/r1": 1})

    with pytest.raises(RunOver, match="'r1' is over \\(cancelled\\)"):
        log.append(entry(id="e2"), 1, open_run="r1")
    assert log.head("control/r1") == 1


def test_no_run_finishes_over_an_unread_command(log: Log) -> None:
    log.append(changeset("c1", run_id="r1", run=RunStatus(status="running")), 0)
    log.append(entry(), 0, open_run="r1")

    with pytest.raises(VersionConflict) as caught:
        log.append(changeset("c2", run_id="r1", run=ENDED), 1, heads={"control/r1": 0})
    assert (caught.value.thread_id, [each.entry for each in caught.value.between]) == (
        "control/r1",
        [entry().entry],
    )
    assert log.head("t1") == 1


def test_the_run_index_follows_the_applied_commands(log: Log) -> None:
    log.append(changeset("c1", run_id="r1", run=RunStatus(status="running")), 0)
    log.append(changeset("c2", run_id="r1", control=3), 1)

    assert [row.control for row in log.open_runs()] == [3]


@given(
    st.lists(
        st.sampled_from(["request", "start", "cancel"]).flatmap(
            lambda what: st.tuples(st.just(what), st.sampled_from("abc"))
        )
    )
)
def test_the_queue_holds_runs_that_neither_started_nor_were_cancelled(steps: list[tuple[str, str]]) -> None:
    """the queue == a list kept by hand, in order of arrival"""
    queue: list[str] = []
    known: set[str] = set()
    begun: set[str] = set()
    with fresh_log() as log:
        for number, (what, run) in enumerate(steps):
            if what == "request" and run not in known:
                fill(log, [request(run)])
                known.add(run)
                queue += [] if run in begun else [run]
            elif what == "start":
                fill(log, [changeset(f"c{number}", run_id=run, run=RunStatus(status="running"))])
                begun.add(run)
                queue = [each for each in queue if each != run]
            elif what == "cancel" and run in known:
                fill(log, [entry(run, f"e{number}", "cancel")])
                queue = [each for each in queue if each != run]
        assert [row.run_id for row in log.queued()] == queue
        log.rebuild()
        assert [row.run_id for row in log.queued()] == queue
        assert log.verify() == []
