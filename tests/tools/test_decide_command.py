"""The command decide, from another terminal."""

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
    """A run that waits for a person, on thread `bill`; no process is there."""
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")
    return row(db)


def test_a_decision_is_recorded_and_says_how_a_process_goes_on(db: Path, waiting: RunRow) -> None:
    ticket = asked(db)["ticket"]

    decided = call(f"decide {waiting.run_id} {ticket} --approve --by ann --wait 0 --db {db}")

    assert (decided.code, decided.err) == (0, "")
    assert f"recorded: {ticket} is approved, by ann" in decided.out
    assert "no process has gone on with the run" in decided.out
    assert f"threadlog run FILE.py:AGENT --thread bill --db {db}" in decided.out
    assert entries(db, waiting.run_id) == [("decide", "ann")]


def test_what_was_decided_without_a_process_is_not_asked_again_by_one(db: Path, waiting: RunRow) -> None:
    call(f"decide {waiting.run_id} {asked(db)['call_id']} --approve --by ann --wait 0 --db {db}")
    decision = asked(db)["decision"]
    shown = call(f"pending --db {db}").out

    went_on = call(f"run {TRAVELLER}:payer --thread bill --db {db}")

    assert (decision["approved"], decision["by"]) == (True, "ann")
    assert "approved by ann, and no process has taken it in" in shown
    assert (went_on.code, row(db).status) == (0, "done")
    assert "The tool said: paid 7" in went_on.out
    assert call(f"pending --json --db {db}").json() == []


def test_a_decision_wakes_the_process_that_has_the_agent(db: Path) -> None:
    with held(db, "payer") as run_id:
        decided = call(f"decide {run_id} {asked(db)['ticket']} --approve --json --wait 30 --db {db}").json()
        followed = call(f"follow {run_id} --db {db}").out

    assert (decided["run_id"], decided["is_new"], decided["taken_in"]) == (run_id, True, True)
    assert '"The tool said: paid 7"' in followed.splitlines()[-1]


def test_a_denial_tells_the_model_why(db: Path) -> None:
    with held(db, "payer") as run_id:
        call(f"decide {run_id} {asked(db)['call_id']} --deny --reason 'too much' --wait 30 --db {db}")
        followed = call(f"follow {run_id} --db {db}").out

    assert "is denied by" in followed
    assert "too much" in followed.splitlines()[-1]


def test_the_same_decision_again_changes_nothing_and_another_one_is_refused(
    db: Path, waiting: RunRow
) -> None:
    question = asked(db)
    first = f"decide {waiting.run_id} {question['ticket']} --approve --wait 0 --db {db}"
    call(first)

    again = call(f"{first} --json --by somebody --id other").json()
    by_call_id = call(first.replace(question["ticket"], question["call_id"]))
    other = call(first.replace("--approve", "--deny"))

    assert (again["is_new"], again["status"]) == (False, "waiting")
    assert (by_call_id.code, by_call_id.out.startswith("nothing new: ")) == (0, True)
    assert_refused(other, 5)
    assert len(entries(db, waiting.run_id)) == 1


def test_a_result_is_json(db: Path, waiting: RunRow) -> None:
    ticket = asked(db)["ticket"]
    decide = f"decide {waiting.run_id} {ticket} --approve --wait 0 --db {db}"

    assert_refused(call(f"{decide} --result", "{"), 2)
    assert_refused(call(f"{decide} --result", "NaN"), 2)
    assert call(f"{decide} --result", '{"amount": 5}').code == 0
    assert asked(db)["decision"]["result"] == {"amount": 5}


def test_who_decides_is_the_user_unless_named(
    db: Path, waiting: RunRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    call(f"decide {waiting.run_id} {asked(db)['ticket']} --approve --wait 0 --db {db}")

    assert entries(db, waiting.run_id) == [("decide", "bob")]


def test_a_call_that_a_waiting_run_does_not_ask_about_is_refused(db: Path, waiting: RunRow) -> None:
    refused = call(f"decide {waiting.run_id} nothing --approve --db {db}")

    assert_refused(refused, 5)
    assert asked(db)["ticket"] in refused.err


def test_who_is_asked_at_one_terminal_may_be_answered_for_at_another_one(db: Path) -> None:
    """the answer that comes second is told so, and the run is not left"""
    OPENED_LOGS.note(db, [payer])
    place = [f"{TRAVELLER}:payer", "pay it", "--thread", "bill", "--db", str(db)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [*PROGRAM, "run", *place])
    shown, is_answered = b"", False
    while piece := read(terminal):
        shown += piece
        if b"[no]:" in shown and not is_answered:
            is_answered = True
            call(f"decide {row(db).run_id} {asked(db)['ticket']} --approve --wait 30 --db {db}")
            os.write(terminal, b"no\n")

    assert os.waitpid(child, 0)[1] == 0, shown.decode()
    assert "is decided already" in shown.decode()
    assert "The tool said: paid 7" in shown.decode()
