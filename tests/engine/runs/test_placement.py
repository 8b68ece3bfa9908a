"""May a run start on a thread: every case as a row of a table."""

import pytest

from threadlog.engine.runs.placement import IfActive, Occupant, Verdict, place

RUNNING = Occupant("r1", "running")
DEAD = Occupant("r1", "running", is_recoverable=True)
WAITING = Occupant("r1", "waiting")
QUEUED = Occupant("r1", "queued")

CASES: list[tuple[Occupant | None, Verdict, Verdict, Verdict]] = [
    # thread      reject     supersede    queue
    (None, "start", "start", "start"),
    (QUEUED, "reject", "start", "queue"),
    (RUNNING, "reject", "supersede", "queue"),
    (DEAD, "recover", "supersede", "recover"),
    (WAITING, "reject", "supersede", "queue"),
]


@pytest.mark.parametrize(("column", "if_active"), list(enumerate(("reject", "supersede", "queue"))))
@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case[0]))
def test_what_a_start_does_depends_on_the_run_that_has_the_thread(
    case: tuple[Occupant | None, Verdict, Verdict, Verdict], column: int, if_active: IfActive
) -> None:
    occupant, *verdicts = case

    assert place(occupant, if_active) == verdicts[column]
