"""run: an agent of a file, at the terminal."""

import os
import pty
import signal
import sys
from pathlib import Path

import pytest

from support import travel_agents
from support.command import PROGRAM, call, start
from support.terminals import read
from threadlog.store import Log

TRAVELLER = Path(travel_agents.__file__)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def termination_types(db: Path) -> list[str | None]:
    with Log.open(db, readonly=True) as log:
        return [row.termination.type if row.termination else None for row in log.runs()]


def test_run_prints_text_and_tool_calls(db: Path) -> None:
    called = call(f"run {TRAVELLER}:booker 'a night in Kyoto' --db {db}")

    assert called.code == 0
    assert 'book({"city": "Kyoto"})' in called.out
    assert "booked Kyoto" in called.out
    assert "Kyoto is booked." in called.out


def test_the_run_is_in_the_log(db: Path) -> None:
    call(f"run {TRAVELLER}:booker 'a night in Kyoto' --thread trip --db {db}")

    with Log.open(db, readonly=True) as log:
        assert [changeset.reason for changeset in log.read("trip")][-1] == "run_finished"
        assert log.verify() == []


def test_run_prints_its_result_as_json(db: Path) -> None:
    result = call(f"run {TRAVELLER}:payer 'pay it' --json --db {db}").json()

    assert (result["status"], result["termination"]) == ("waiting", {"type": "suspended"})


def test_a_waiting_run_prints_its_ticket_and_exits_with_zero(db: Path) -> None:
    called = call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")

    assert called.code == 0
    assert 'Waiting for approval: pay({"amount": 7}), ticket ' in called.err


def test_a_thread_with_a_waiting_run_refuses_a_prompt(db: Path) -> None:
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")

    assert call(f"run {TRAVELLER}:payer 'pay more' --thread bill --db {db}").code == 5


@pytest.mark.parametrize(("answer", "result"), [("yes", "paid 7"), ("no, too much", "too much")])
def test_run_asks_for_approval_at_a_terminal(db: Path, answer: str, result: str) -> None:
    shown = at_a_terminal(db, "pay it", answer)

    assert "Call pay?" in shown
    assert f"The tool said: {result}" in shown or f'"error":"{result}"' in shown


def test_a_waiting_run_resumes_in_another_process(db: Path) -> None:
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")
    at_a_terminal(db, None, "yes")

    assert termination_types(db) == ["natural_end"]


def at_a_terminal(db: Path, prompt: str | None, answer: str) -> str:
    """Run the command at a terminal, type the answer when asked, and return what the terminal shows."""
    arguments = [f"{TRAVELLER}:payer", *([prompt] if prompt else []), "--thread", "bill", "--db", str(db)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [*PROGRAM, "run", *arguments])
    shown = b""
    while piece := read(terminal):
        shown += piece
        if b"[no]:" in shown and answer:
            os.write(terminal, answer.encode() + b"\n")
            answer = ""
    assert os.waitpid(child, 0)[1] == 0, shown.decode()
    return shown.decode()


def test_ctrl_c_cancels_the_run_and_prints_how_to_continue(db: Path) -> None:
    process = start(f"run {TRAVELLER}:stuck 'do it' --thread trip --db {db}")
    assert process.stdout
    while "hang(" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=30)

    assert process.returncode == 130
    assert f"--thread trip --db {db}" in printed
    assert termination_types(db) == ["cancelled"]


def test_a_failed_run_exits_with_one(db: Path) -> None:
    assert call(f"run {TRAVELLER}:failing 'do it' --db {db}").code == 1
    assert termination_types(db) == ["error"]


@pytest.mark.parametrize(
    "command",
    [
        f"run {TRAVELLER}:unknown hello",
        f"run {TRAVELLER} hello",
        "run /nowhere/agents.py:booker hello",
        f"run {TRAVELLER}:booker",
        f"run {TRAVELLER}:booker hello --model nothing",
    ],
)
def test_wrong_usage_is_refused_before_a_log_is_created(db: Path, command: str) -> None:
    called = call(f"{command} --db {db}")

    assert called.code == 2
    assert not db.exists()


def test_a_thread_without_a_waiting_run_needs_a_prompt(db: Path) -> None:
    assert call(f"run {TRAVELLER}:booker --thread trip --db {db}").code == 5


def test_a_run_can_be_replayed_with_the_same_file(db: Path) -> None:
    call(f"run {TRAVELLER}:booker 'a night in Kyoto' --thread trip --db {db}")

    assert call(f"replay trip --level run --agents {TRAVELLER} --db {db}").code == 0


def test_replay_finds_a_changed_instruction(db: Path, tmp_path: Path) -> None:
    call(f"run {TRAVELLER}:booker 'a night in Kyoto' --thread trip --db {db}")
    changed = tmp_path / "changed.py"
    changed.write_text(
        TRAVELLER.read_text().replace("tools=[book])", "tools=[book], instructions='Be brief.')")
    )

    called = call(f"replay trip --level run --agents {changed} --db {db}")

    assert called.code == 1
    assert (
        "version 1: at '/agent/specification/instructions' the log has '', today's code gives 'Be brief.'"
        in called.out
    )
