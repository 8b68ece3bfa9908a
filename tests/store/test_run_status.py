"""Where a run is, in one query: it agrees with what its streams say, whatever has happened to the run."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from support.logs import changeset, fresh_log
from threadlog.store import Log
from threadlog.store.changeset import (
    Changeset,
    ControlEntry,
    RunRequest,
    RunStatus,
    Termination,
    control_stream,
)

Step = Literal["queue", "cancel", "steer", "begin", "wait", "end", "apply"]

STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.sampled_from(["queue", "cancel", "steer", "begin", "wait", "end", "apply"]), max_size=8
)
STREAM = control_stream("r1")
FACTS: dict[Step, RunStatus] = {
    "begin": RunStatus(status="running"),
    "wait": RunStatus(status="waiting", termination=Termination(type="suspended")),
    "end": RunStatus(status="done", termination=Termination(type="natural_end")),
}


def command(log: Log, step: Step) -> Changeset:
    """A command to the run; it can be queued only before anything else is asked of it."""
    number = log.head(STREAM) + 1
    entry = ControlEntry(id=f"e{number}", kind="cancel" if step == "cancel" else "steer", content="go on")
    if step == "queue":
        entry = ControlEntry(id="start", kind="start", start=RunRequest(agent="planner", thread_id="t1"))
    return changeset(f"{STREAM}/{number}", STREAM, reason="control", run_id="r1", entry=entry)


def own(log: Log, step: Step) -> Changeset:
    """A changeset of the run itself."""
    control = log.head(STREAM) if step == "apply" else None
    return changeset(
        f"c{log.head('t1') + 1}", "t1", run_id="r1", epoch=1, run=FACTS.get(step), control=control or None
    )


def do(log: Log, step: Step) -> None:
    is_begun = log.run("r1") is not None
    if step in ("queue", "cancel", "steer"):
        if (step == "queue") == (log.head(STREAM) == 0 and not is_begun):
            log.append(command(log, step), log.head(STREAM))
    elif step == "begin" or is_begun:
        log.append(own(log, step), log.head("t1"))


def expected(log: Log) -> tuple[str, bool, int] | None:
    """The same, from the whole streams."""
    entries = [(each.version, each.entry) for each in log.read(STREAM) if each.entry]
    history = list(log.read("t1"))
    if not entries and not history:
        return None
    applied = max((each.control or 0 for each in history), default=0)
    cancels = [version for version, entry in entries if entry.kind == "cancel"]
    facts = [each.run for each in history if each.run]
    status = facts[-1].status if facts else "done" if cancels else "queued"
    return status, any(version > applied for version in cancels), len(entries)


@given(STEPS)
def test_the_status_of_a_run_follows_its_streams(steps: list[Step]) -> None:
    """run_status(run) == the fold of the run's thread and of its control stream, after every step"""
    with fresh_log() as log:
        for step in steps:
            do(log, step)

            found = log.run_status("r1")
            assert (found and (found.status, found.is_cancelled, found.commands)) == expected(log)
            is_active = found is not None and found.status != "done"
            assert [row.run_id for row in log.active_runs()] == ["r1"] * is_active


def test_an_unknown_run_has_no_status(log: Log) -> None:
    assert log.run_status("r1") is None
