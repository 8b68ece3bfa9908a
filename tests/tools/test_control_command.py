"""Controlling runs from another terminal: runs --active, pending, steer, cancel."""

import platform
import shlex
import subprocess
from pathlib import Path

import anyio
import pytest

from support.agents import gated_agent
from support.command import assert_refused, bytes_of, call, start
from support.hostile_text import EVIL, plain
from support.models import GatedModel
from support.soundness import OPENED_LOGS
from support.terminals import TRAVELLER, asked, entries, followed_until, held, make_evil, queue_behind, row
from support.tools import ERASE
from support.travel_agents import stuck
from threadlog.engine import Runtime
from threadlog.reducers.run import ENDS
from threadlog.store.listing import RunRow


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def waiting(db: Path) -> RunRow:
    """A run on thread `bill` that waits for a person. No process is running."""
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")
    return row(db)


# Active runs and their questions


def test_active_runs_are_listed_with_their_process(db: Path, waiting: RunRow) -> None:
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


def test_active_runs_can_be_limited_to_a_thread(db: Path, waiting: RunRow) -> None:
    call(f"run {TRAVELLER}:payer 'pay it' --thread other --db {db}")

    rows = call(f"runs --active --thread bill --json --db {db}").json()

    assert [row["run_id"] for row in rows] == [waiting.run_id]


def test_pending_prints_each_question_with_the_command_that_approves_it(db: Path, waiting: RunRow) -> None:
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


def test_the_command_that_pending_prints_works(db: Path, waiting: RunRow) -> None:
    program, *answer = shlex.split(asked(db)["decide"])

    assert program == "threadlog"
    assert call(shlex.join(answer), "--wait", 0).code == 0
    assert [kind for kind, _ in entries(db, waiting.run_id)] == ["decide"]


def test_a_finished_run_has_no_pending_calls(db: Path, waiting: RunRow) -> None:
    call(f"cancel {waiting.run_id} --db {db}")

    assert call(f"pending {waiting.run_id} --json --db {db}").json() == []
    assert call(f"pending {waiting.run_id} --db {db}").out == "No tool call is waiting for approval.\n"


# Steering


def test_a_message_with_the_same_id_is_sent_once(db: Path, waiting: RunRow) -> None:
    steer = f"steer {waiting.run_id} 'in cash' --id one --by ann --wait 0 --json --db {db}"

    assert [call(steer).json()["is_new"] for _ in range(2)] == [True, False]
    assert_refused(call(steer.replace("cash", "gold")), 5)
    assert entries(db, waiting.run_id) == [("steer", "ann")]


def test_a_waiting_run_resumes_with_a_message(db: Path) -> None:
    with held(db, "payer") as run_id:
        steered = call(f"steer {run_id} 'in cash' --json --wait 30 --db {db}").json()
        seen = [line.split(maxsplit=1)[1] for line in followed_until(db, run_id, "user: in cash")]

    assert steered["applied"]
    assert seen[-1] == "user: in cash"


def test_a_running_run_applies_a_message_at_its_next_step(db: Path) -> None:
    with held(db, "stuck") as run_id:
        shown = call(f"steer {run_id} hurry --wait 0 --db {db}").out
        executor = row(db).executor

    assert executor
    assert f"Not applied yet: process {executor.pid} on {executor.host} executes the run" in shown


def test_a_message_to_a_run_whose_process_died_prints_how_to_close_the_run(db: Path) -> None:
    process = killed(db)

    shown = call(f"steer {row(db).run_id} hurry --wait 0 --db {db}").out

    assert f"Not applied: process {process.pid} on" in shown
    assert "which executed the run, died." in shown
    assert "its process died" in call(f"runs --active --db {db}").out
    assert call(shown.splitlines()[-1].strip().removeprefix("threadlog ")).code == 0
    assert row(db).termination == ENDS["stop"]


@pytest.mark.parametrize("command", ["runs", "show trip", "log trip"])
def test_a_run_whose_process_died_is_shown_with_its_process(db: Path, command: str) -> None:
    process = killed(db)
    call(f"recover --db {db}")

    shown = call(f"{command} --db {db}").out

    assert f"stopped: its process (pid {process.pid} on {platform.node()}) died" in shown
    assert "executor" not in shown


def killed(db: Path) -> subprocess.Popen[str]:
    """Start a run on thread `trip` and kill its process in the middle of a tool call."""
    OPENED_LOGS.note(db, [stuck])
    with start(f"run {TRAVELLER}:stuck 'do it' --thread trip --db {db}") as process:
        assert process.stdout
        while "hang(" not in process.stdout.readline():
            pass
        process.kill()
    return process


# Cancelling


@pytest.mark.parametrize("which", ["waiting", "queued"])
def test_cancelling_ends_a_waiting_or_queued_run_at_once(db: Path, waiting: RunRow, which: str) -> None:
    run_id = waiting.run_id if which == "waiting" else queue_behind(db)

    cancelled = call(f"cancel {run_id} --reason 'no money' --by ann --json --db {db}").json()

    assert (cancelled["is_new"], cancelled["status"]) == (True, "done")
    assert cancelled["termination"]["type"] == "cancelled"
    assert entries(db, run_id)[-1] == ("cancel", "ann")
    assert run_id not in call(f"runs --active --db {db}").out
    again = call(f"cancel {run_id} --db {db}")
    assert (again.code, again.out.startswith("Already recorded: ")) == (0, True)


def test_cancelling_ends_a_run_of_another_process(db: Path) -> None:
    with held(db, "stuck") as run_id:
        cancelled = call(f"cancel {run_id} --wait 30 --db {db}")

    assert cancelled.code == 0
    assert "The run has finished, cancelled" in cancelled.out
    assert row(db).status == "done"


async def finished_with_waiting_child(db: Path) -> tuple[str, str]:
    """Return a finished run, and a run that it started and that waits for a person."""
    model = GatedModel()
    async with Runtime.open(db, agents=[gated_agent(model)]) as runtime:
        root = await runtime.start("planner", "go")
        asked = await model.next_request()
        child = await runtime.start("planner", "go", parent=root.run_id)
        (await model.next_request()).answer(ERASE)
        await child.result()
        asked.answer("done")
        await root.result()
    return root.run_id, child.run_id


def test_cancelling_a_finished_run_cancels_its_descendants(db: Path) -> None:
    root, child = anyio.run(finished_with_waiting_child, db)

    cancelled = call(f"cancel {root} --by ann --db {db}")

    assert cancelled.code == 0
    assert cancelled.out.splitlines() == [
        "Recorded: cancel the unfinished descendants (by ann)",
        "The run has finished, natural_end.",
    ]
    assert entries(db, child) == [("cancel", "ann")]
    assert_refused(call(f"cancel {root} --db {db}"), 5)


@pytest.mark.parametrize("command", ["decide {} c1 --approve", "cancel {}", "steer {} more"])
def test_a_finished_run_rejects_commands(db: Path, command: str) -> None:
    call(f"run {TRAVELLER}:booker 'a night' --db {db}")
    before = bytes_of(db)

    refused = call(command.format(row(db).run_id), "--db", db)

    assert_refused(refused, 5)
    assert "is over (natural_end)" in refused.err
    assert bytes_of(db) == before


# Wrong input

CONTROL = ("follow {}", "decide {} c1 --approve", "cancel {}", "steer {} more")


@pytest.mark.parametrize("command", [*CONTROL, "pending {}"])
def test_an_unknown_run_is_not_found(db: Path, waiting: RunRow, command: str) -> None:
    before = bytes_of(db)

    for run_id in ("nope", "\udcff", "control/nope"):
        assert_refused(call(command.format("--db"), db, run_id), 3)

    assert bytes_of(db) == before


@pytest.mark.parametrize("command", [*CONTROL, "pending {}"])
def test_a_missing_file_is_not_created(tmp_path: Path, command: str) -> None:
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
def test_wrong_usage_is_refused_and_nothing_is_written(db: Path, waiting: RunRow, command: str) -> None:
    before = bytes_of(db)

    assert_refused(call(command.format(waiting.run_id), "--db", db), 2)

    assert bytes_of(db) == before


# Escaping


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evil") / "evil.db"
    make_evil(path)
    return path


@pytest.mark.does_not_replay("its agent is known to the process that made the log only")
@pytest.mark.parametrize("form", ["", "--json"])
@pytest.mark.parametrize(
    "command",
    ["runs --active", "pending", "pending RUN", "decide RUN EVIL --deny --reason EVIL --by EVIL --wait 0"],
)
def test_control_characters_in_a_log_are_escaped(evil: Path, command: str, form: str) -> None:
    words = {"RUN": row(evil).run_id, "EVIL": EVIL}

    called = call(form, *(words.get(word, word) for word in command.split()), "--db", evil)

    assert called.code == 0
    assert called.out
    assert {char for char in called.out + called.err if not plain(char)} == set()
