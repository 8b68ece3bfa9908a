"""Run control from other terminals: runs --active, pending, steer, cancel."""

import shlex
from pathlib import Path

import pytest

from support.command import assert_refused, bytes_of, call, start
from support.hostile_text import EVIL, plain
from support.soundness import OPENED_LOGS
from support.terminals import TRAVELLER, asked, entries, followed_until, held, make_evil, queue_behind, row
from support.travel_agents import stuck
from threadlog.reducers.run import ENDS
from threadlog.store.listing import RunRow


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def waiting(db: Path) -> RunRow:
    """A run that waits for a person, on thread `bill`; no process is there."""
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")
    return row(db)


# What is active, and what it asks


def test_the_runs_that_are_not_over_are_listed_with_who_executes_them(db: Path, waiting: RunRow) -> None:
    call(f"run {TRAVELLER}:booker 'a night' --thread trip --db {db}")
    queued = queue_behind(db)

    first, second = call(f"runs --active --json --db {db}").json()

    assert (first["run_id"], first["status"]) == (waiting.run_id, "waiting")
    assert waiting.executor
    assert first["executor"] == waiting.executor.model_dump()
    assert (second["run_id"], second["status"], second["agent"]) == (queued, "queued", "booker")
    assert first.keys() == second.keys()
    shown = call(f"runs --active --db {db}").out
    assert "2 active runs" in shown
    assert str(waiting.executor.pid) in shown


def test_the_active_runs_of_one_thread(db: Path, waiting: RunRow) -> None:
    call(f"run {TRAVELLER}:payer 'pay it' --thread other --db {db}")

    rows = call(f"runs --active --thread bill --json --db {db}").json()

    assert [row["run_id"] for row in rows] == [waiting.run_id]


def test_what_waits_for_a_person_comes_with_the_line_that_answers_it(db: Path, waiting: RunRow) -> None:
    question = asked(db)

    assert (question["run_id"], question["thread_id"], question["agent"]) == (
        waiting.run_id,
        "bill",
        "payer",
    )
    assert (question["name"], question["arguments"], question["message"]) == (
        "pay",
        {"amount": 7},
        "Call pay?",
    )
    shown = call(f"pending --db {db}", width=40).out
    assert f"  {question['decide']}\n" in shown
    assert call(f"pending {waiting.run_id} --db {db}", width=40).out == shown


def test_the_line_that_answers_works(db: Path, waiting: RunRow) -> None:
    program, *answer = shlex.split(asked(db)["decide"])

    assert program == "threadlog"
    assert call(shlex.join(answer), "--wait", 0).code == 0
    assert [kind for kind, _ in entries(db, waiting.run_id)] == ["decide"]


def test_a_run_that_is_over_asks_nothing(db: Path, waiting: RunRow) -> None:
    call(f"cancel {waiting.run_id} --db {db}")

    assert call(f"pending {waiting.run_id} --json --db {db}").json() == []
    assert call(f"pending {waiting.run_id} --db {db}").out == "nothing waits for a person\n"


# Words to a run


def test_a_run_is_told_something_once_for_each_id(db: Path, waiting: RunRow) -> None:
    steer = f"steer {waiting.run_id} 'in cash' --id one --by ann --wait 0 --json --db {db}"

    assert [call(steer).json()["is_new"] for _ in range(2)] == [True, False]
    assert_refused(call(steer.replace("cash", "gold")), 5)
    assert entries(db, waiting.run_id) == [("steer", "ann")]


def test_a_run_that_waits_goes_on_with_what_it_is_told(db: Path) -> None:
    with held(db, "payer") as run_id:
        told = call(f"steer {run_id} 'in cash' --json --wait 30 --db {db}").json()
        seen = [line.split(maxsplit=1)[1] for line in followed_until(db, run_id, "user: in cash")]

    assert told["taken_in"]
    assert seen[-1] == "user: in cash"


def test_a_run_that_is_busy_takes_it_in_later(db: Path) -> None:
    with held(db, "stuck") as run_id:
        told = call(f"steer {run_id} hurry --wait 0 --db {db}").out
        executor = row(db).executor

    assert executor
    assert f"process {executor.pid} on {executor.host} executes the run" in told


def test_a_run_whose_process_was_killed_is_said_to_be_left_alone(db: Path) -> None:
    OPENED_LOGS.note(db, [stuck])
    process = start(f"run {TRAVELLER}:stuck 'do it' --db {db}")
    with process:
        assert process.stdout
        while "hang(" not in process.stdout.readline():
            pass
        process.kill()

    told = call(f"steer {row(db).run_id} hurry --wait 0 --db {db}").out

    assert f"process {process.pid} on" in told
    assert "is gone" in told
    assert "its process is gone" in call(f"runs --active --db {db}").out
    assert call(told.splitlines()[-1].strip().removeprefix("threadlog ")).code == 0
    assert row(db).termination == ENDS["stop"]


# Cancelling


@pytest.mark.parametrize("which", ["waiting", "queued"])
def test_a_run_that_waits_or_is_queued_is_over_at_once(db: Path, waiting: RunRow, which: str) -> None:
    run_id = waiting.run_id if which == "waiting" else queue_behind(db)

    cancelled = call(f"cancel {run_id} --reason 'no money' --by ann --json --db {db}").json()

    assert (cancelled["is_new"], cancelled["status"]) == (True, "done")
    assert cancelled["termination"]["type"] == "cancelled"
    assert entries(db, run_id)[-1] == ("cancel", "ann")
    assert run_id not in call(f"runs --active --db {db}").out
    again = call(f"cancel {run_id} --db {db}")
    assert (again.code, again.out.startswith("nothing new: ")) == (0, True)


def test_a_run_that_goes_on_elsewhere_is_cancelled(db: Path) -> None:
    with held(db, "stuck") as run_id:
        cancelled = call(f"cancel {run_id} --wait 30 --db {db}")

    assert cancelled.code == 0
    assert f"run {run_id} is over (cancelled" in cancelled.out
    assert row(db).status == "done"


@pytest.mark.parametrize("command", ["decide {} c1 --approve", "cancel {}", "steer {} more"])
def test_a_run_that_is_over_is_left_alone(db: Path, command: str) -> None:
    call(f"run {TRAVELLER}:booker 'a night' --db {db}")
    before = bytes_of(db)

    refused = call(command.format(row(db).run_id), "--db", db)

    assert_refused(refused, 5)
    assert "is over (natural_end)" in refused.err
    assert bytes_of(db) == before


# Wrong input

CONTROL = ("follow {}", "decide {} c1 --approve", "cancel {}", "steer {} more")


@pytest.mark.parametrize("command", [*CONTROL, "pending {}"])
def test_a_run_that_is_not_there_is_not_found(db: Path, waiting: RunRow, command: str) -> None:
    before = bytes_of(db)

    for run_id in ("nope", "\udcff", "control/nope"):
        assert_refused(call(command.format("--db"), db, run_id), 3)

    assert bytes_of(db) == before


@pytest.mark.parametrize("command", [*CONTROL, "pending {}"])
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, command: str) -> None:
    assert_refused(call(command.format("r1"), "--db", tmp_path / "nope.db"), 3)
    assert_refused(call(command.format("r1"), "--db", tmp_path), 3)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        "decide",
        "decide {}",
        "decide {} c1",
        "decide {} c1 --approve --deny",
        "decide {} c1 --approve --reason why",
        "decide {} c1 --approve --wait -1",
        "steer {}",
        "steer {} ' '",
        "steer {} \udcff",
        "decide {} c1 --deny --reason \udcff",
        "cancel {} --by \udcff",
        "cancel",
        "follow",
        "follow {} --after 3",
        "follow {} --after -1.0",
        "follow {} --after x.y",
    ],
)
def test_wrong_usage_is_refused_and_writes_nothing(db: Path, waiting: RunRow, command: str) -> None:
    before = bytes_of(db)

    assert_refused(call(command.format(waiting.run_id), "--db", db), 2)

    assert bytes_of(db) == before


# Text from the log is data


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evil") / "evil.db"
    make_evil(path)
    return path


@pytest.mark.parametrize("form", ["", "--json"])
@pytest.mark.parametrize(
    "command",
    ["runs --active", "pending", "pending RUN", "decide RUN EVIL --deny --reason EVIL --by EVIL --wait 0"],
)
def test_no_text_of_a_log_reaches_the_terminal_as_it_is(evil: Path, command: str, form: str) -> None:
    words = {"RUN": row(evil).run_id, "EVIL": EVIL}

    called = call(form, *(words.get(word, word) for word in command.split()), "--db", evil)

    assert called.code == 0
    assert called.out
    assert {char for char in called.out + called.err if not plain(char)} == set()
