"""decide, from another terminal."""

import os
import pty
import sys
from pathlib import Path

import pytest

from support.command import PROGRAM, assert_refused, call
from support.soundness import OPENED_LOGS
from support.terminals import TRAVELLER, asked, entries, held, read, row
from support.travel_agents import payer
from threadlog.store.listing import RunRow


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def waiting(db: Path) -> RunRow:
    """A run on thread `bill` that waits for a person. No process is running."""
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")
    return row(db)


def test_a_decision_is_recorded_and_the_command_to_resume_is_printed(db: Path, waiting: RunRow) -> None:
    ticket = asked(db)["ticket"]

    decided = call(f"decide {waiting.run_id} {ticket} --approve --by ann --wait 0 --db {db}")

    assert (decided.code, decided.err) == (0, "")
    assert f"Recorded: approve {ticket} (by ann)" in decided.out
    assert "No running process has picked it up yet." in decided.out
    assert f"threadlog run FILE.py:AGENT --thread bill --db {db}" in decided.out
    assert entries(db, waiting.run_id) == [("decide", "ann")]


def test_a_recorded_decision_is_applied_by_the_next_process_without_asking(db: Path, waiting: RunRow) -> None:
    call(f"decide {waiting.run_id} {asked(db)['call_id']} --approve --by ann --wait 0 --db {db}")
    decision = asked(db)["decision"]
    shown = call(f"pending --db {db}").out

    resumed = call(f"run {TRAVELLER}:payer --thread bill --db {db}")

    assert (decision["approved"], decision["by"]) == (True, "ann")
    assert "approved by ann. No running process has picked it up yet" in shown
    assert (resumed.code, row(db).status) == (0, "done")
    assert "The tool said: paid 7" in resumed.out
    assert call(f"pending --json --db {db}").json() == []


def test_a_decision_resumes_the_run_in_the_process_that_has_its_agent(db: Path) -> None:
    with held(db, "payer") as run_id:
        decided = call(f"decide {run_id} {asked(db)['ticket']} --approve --json --wait 30 --db {db}").json()
        followed = call(f"follow {run_id} --db {db}").out

    assert (decided["run_id"], decided["is_new"], decided["applied"]) == (run_id, True, True)
    assert '"The tool said: paid 7"' in followed.splitlines()[-1]


def test_the_model_reads_why_a_call_was_denied(db: Path) -> None:
    with held(db, "payer") as run_id:
        call(f"decide {run_id} {asked(db)['call_id']} --deny --reason 'too much' --wait 30 --db {db}")
        followed = call(f"follow {run_id} --db {db}").out

    assert "was denied by" in followed
    assert "too much" in followed.splitlines()[-1]


def test_repeating_a_decision_is_a_no_op_and_a_conflicting_one_is_rejected(db: Path, waiting: RunRow) -> None:
    question = asked(db)
    first = f"decide {waiting.run_id} {question['ticket']} --approve --wait 0 --db {db}"
    call(first)

    again = call(f"{first} --json --by bob --id other").json()
    by_call_id = call(first.replace(question["ticket"], question["call_id"]))
    other = call(first.replace("--approve", "--deny"))

    assert (again["is_new"], again["status"]) == (False, "waiting")
    assert (by_call_id.code, by_call_id.out.startswith("Already recorded: ")) == (0, True)
    assert_refused(other, 5)
    assert len(entries(db, waiting.run_id)) == 1


def test_the_result_of_a_decision_is_json(db: Path, waiting: RunRow) -> None:
    ticket = asked(db)["ticket"]
    decide = f"decide {waiting.run_id} {ticket} --approve --wait 0 --db {db}"

    assert_refused(call(f"{decide} --result", "{"), 2)
    assert_refused(call(f"{decide} --result", "NaN"), 2)
    assert call(f"{decide} --result", '{"amount": 5}').code == 0
    assert asked(db)["decision"]["result"] == {"amount": 5}


def test_the_user_decides_unless_another_name_is_given(
    db: Path, waiting: RunRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    call(f"decide {waiting.run_id} {asked(db)['ticket']} --approve --wait 0 --db {db}")

    assert entries(db, waiting.run_id) == [("decide", "bob")]


def test_an_unknown_target_is_refused(db: Path, waiting: RunRow) -> None:
    refused = call(f"decide {waiting.run_id} nothing --approve --db {db}")

    assert_refused(refused, 5)
    assert asked(db)["ticket"] in refused.err


def test_a_question_at_one_terminal_can_be_answered_at_another(db: Path) -> None:
    """The later answer is rejected, and the first terminal keeps following the run."""
    OPENED_LOGS.note(db, [payer])
    arguments = [f"{TRAVELLER}:payer", "pay it", "--thread", "bill", "--db", str(db)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [*PROGRAM, "run", *arguments])
    shown, is_answered = b"", False
    while piece := read(terminal):
        shown += piece
        if b"[no]:" in shown and not is_answered:
            is_answered = True
            call(f"decide {row(db).run_id} {asked(db)['ticket']} --approve --wait 30 --db {db}")
            os.write(terminal, b"no\n")

    assert os.waitpid(child, 0)[1] == 0, shown.decode()
    assert "is already decided" in shown.decode()
    assert "The tool said: paid 7" in shown.decode()
