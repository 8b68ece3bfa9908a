"""follow: the events of a run at another terminal."""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Called, assert_refused, bytes_of, call, ended, start
from support.hostile_text import plain
from support.programs import environment
from support.terminals import TRAVELLER, asked, followed_until, held, make_evil, queue_behind, row
from threadlog.engine.events import run_events
from threadlog.store import Log
from threadlog.store.listing import RunRow


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def waiting(db: Path) -> RunRow:
    """A run on thread `bill` that waits for a person. No process is running."""
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {db}")
    return row(db)


def recorded_cursors(db: Path) -> list[str]:
    """Return the cursors of all durable events in the log."""
    with Log.open(db, readonly=True) as log:
        return [str(event.cursor) for event in run_events(log, row(db).run_id)]


def cursors(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()]


def test_a_finished_run_is_printed_completely_one_event_per_line(db: Path) -> None:
    call(f"run {TRAVELLER}:booker 'a night' --thread trip --db {db}")
    run_id = row(db).run_id
    before = bytes_of(db)

    followed = call(f"follow {run_id} --db {db}", width=20)

    assert (followed.code, followed.err) == (0, "")
    assert [line.split(maxsplit=1)[1] for line in followed.out.splitlines()] == [
        f"run {run_id} starts on thread trip",
        'assistant: → book({"city": "Kyoto"})',
        'book succeeded: "booked Kyoto"',
        "step 0 finished",
        "assistant: Kyoto is booked.",
        "step 1 finished",
        'run finished: natural_end, "Kyoto is booked."',
    ]
    assert cursors(followed.out) == recorded_cursors(db)
    assert bytes_of(db) == before


def test_after_a_cursor_only_later_events_are_printed(db: Path) -> None:
    call(f"run {TRAVELLER}:booker 'a night' --db {db}")
    follow = f"follow {row(db).run_id} --db {db}"
    every = call(follow).out.splitlines(keepends=True)

    for n, line in enumerate(every, 1):
        assert call(f"{follow} --after {line.split()[0]}").out == "".join(every[n:])


def test_json_has_one_event_per_line(db: Path, waiting: RunRow) -> None:
    call(f"cancel {waiting.run_id} --db {db}")

    lines = [json.loads(line) for line in call(f"follow {waiting.run_id} --json --db {db}").out.splitlines()]

    assert [(line["cursor"], line["type"]) for line in lines[:3]] == [
        ("1.0", "run_started"),
        ("2.0", "assistant_turn"),
        ("3.0", "tool_call_suspended"),
    ]
    assert lines[2]["suspension"]["parameters"] == {"amount": 7}
    assert lines[-1]["result"]["termination"]["type"] == "cancelled"


def test_following_again_after_a_kill_misses_and_repeats_nothing(db: Path) -> None:
    with held(db, "payer") as run_id:
        first = followed_until(db, run_id, "run waits for a person")
        rest = start(f"follow {run_id} --after {first[-1].split()[0]} --db {db}")
        call(f"decide {run_id} {asked(db)['ticket']} --approve --by ann --db {db}")
        followed = ended(rest)

    assert (followed.code, followed.err) == (0, "")
    assert cursors("\n".join(first)) + cursors(followed.out) == recorded_cursors(db)
    assert "was approved by ann" in followed.out


def test_ctrl_c_does_not_stop_the_run(db: Path, waiting: RunRow) -> None:
    with start(f"follow {waiting.run_id} --db {db}") as process:
        assert process.stdout
        while "run waits for a person" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        followed = ended(process)

    assert (followed.code, followed.out, followed.err.strip()) == (130, "", "")
    assert row(db).status == "waiting"


def test_a_queued_run_can_be_followed(db: Path, waiting: RunRow) -> None:
    queued = queue_behind(db)
    follower = start(f"follow {queued} --db {db}")

    call(f"cancel {waiting.run_id} --db {db}")
    with held(db, "booker"):
        followed = ended(follower)

    assert followed.code == 0
    assert "run finished: natural_end" in followed.out.splitlines()[-1]


def test_a_run_cancelled_in_the_queue_has_no_events(db: Path, waiting: RunRow) -> None:
    queued = queue_behind(db)
    call(f"cancel {queued} --db {db}")

    assert call(f"follow {queued} --db {db}")[:2] == (0, "")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_without_locks_future_events_cannot_be_followed(public: Path) -> None:
    path = public / "log.db"
    call(f"run {TRAVELLER}:payer 'pay it' --thread bill --db {path}")
    run_id = row(path).run_id
    for left in public.glob("log.db-*"):
        left.unlink()
    public.chmod(0o555)

    followed = as_another_user(f"follow {run_id} --db {path}")

    assert (followed.code, followed.out.splitlines()[-1]) == (4, "4.0   run waits for a person")
    assert_refused(followed, 4)


ANOTHER_USER = """
import os, sys
from threadlog.tools.cli import main
from support.command import call
call("runs --help")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
main()
"""


def as_another_user(command: str) -> Called:
    arguments = [sys.executable, "-c", ANOTHER_USER, *shlex.split(command)]
    env, pipe = environment(COLUMNS="200"), subprocess.PIPE
    return ended(subprocess.Popen(arguments, stdout=pipe, stderr=pipe, encoding="utf-8", env=env))


def test_a_cursor_after_the_end_of_the_log_is_not_found(db: Path, waiting: RunRow) -> None:
    assert_refused(call(f"follow {waiting.run_id} --after 5.0 --db {db}"), 3)
    assert_refused(call(f"follow {waiting.run_id} --after {10**17}.0 --db {db}"), 3)


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evil") / "evil.db"
    make_evil(path)
    return path


def test_control_characters_in_events_are_escaped(evil: Path) -> None:
    lines = followed_until(evil, row(evil).run_id, "run waits for a person")

    assert len(lines) == 4
    assert {char for line in lines for char in line if not plain(char)} == set()
