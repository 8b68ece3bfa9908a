"""Real processes on one file. THREADLOG_LONG=1 runs many more of them (`make crash`)."""

import os
import random
import subprocess
import sys
from contextlib import ExitStack, nullcontext, suppress
from itertools import chain
from pathlib import Path

import pytest

from support.programs import Process, go, ready, started, together
from threadlog.store import Log

pytestmark = pytest.mark.long

LONG = bool(os.environ.get("THREADLOG_LONG"))
APPENDS = 200 if LONG else 40
KILLS = 200 if LONG else 20


def ids(log: Log) -> list[str]:
    return [item.id for _, item in log.entries()]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("threads", [1, 8])
def test_no_append_of_many_processes_is_lost_or_finds_the_log_locked(path: Path, threads: int) -> None:
    """versions are 1..n, whichever process appended what"""
    said = together(*[("append", path, f"t{n % threads}", APPENDS) for n in range(8)])

    with Log.open(path, readonly=True) as log:
        assert [len(each) for each in said] == [APPENDS] * 8
        assert sorted(ids(log)) == sorted(chain.from_iterable(said))
        for row in log.threads():
            versions = [item.version for item in log.read(row.thread_id)]
            assert versions == list(range(1, 8 * APPENDS // threads + 1))
        assert log.verify() == []


def test_one_of_two_processes_with_the_same_expected_version_wins(path: Path) -> None:
    first, second = together(*[("race", path, "t1", APPENDS)] * 2)

    assert [sorted(pair) for pair in zip(first, second, strict=True)] == [["lost", "won"]] * APPENDS
    with Log.open(path, readonly=True) as log:
        assert log.head("t1") == APPENDS


@pytest.mark.parametrize("attempt", range(10 if LONG else 2))
def test_processes_that_create_a_log_at_the_same_moment_all_succeed(path: Path, attempt: int) -> None:
    together(*[("open", path)] * 4)

    with Log.open(path, readonly=True) as log:
        assert log.verify() == []


@pytest.mark.timeout(1800)
def test_acknowledged_appends_survive_a_kill_at_any_moment(path: Path) -> None:
    """Kill the process anywhere: the log holds what was acknowledged, plus at most one append."""
    seed = int(os.environ.get("THREADLOG_SEED", random.randrange(2**32)))
    sys.stdout.write(f"THREADLOG_SEED={seed}\n")
    dice = random.Random(seed)
    known: set[str] = set()

    with ExitStack() as stack:
        waiting = stack.enter_context(started("append", path, "t1", 10**6))
        for _ in range(KILLS):
            # The next process is starting while this one is killed.
            process, waiting = waiting, stack.enter_context(started("append", path, "t1", 10**6))
            with Log.open(path) if known and dice.random() < 0.5 else nullcontext():
                acknowledged = killed(process, dice.uniform(0, 0.06))
            known = checked(path, known, acknowledged)

    assert known
    sys.stdout.write(f"{KILLS} kills, {len(known)} appends\n")


def killed(process: Process, after: float) -> set[str]:
    """What a process said until it was killed, so many seconds after its beginning."""
    go(ready(process))
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    output, errors = process.communicate()
    assert errors == ""
    return {line for line in output.splitlines() if line != "ready"}


def checked(path: Path, known: set[str], acknowledged: set[str]) -> set[str]:
    with Log.open(path) as log:
        new = set(ids(log)) - known
        assert acknowledged <= new
        assert len(new - acknowledged) <= 1
        assert [item.version for item in log.read("t1")] == list(range(1, len(ids(log)) + 1))
        assert len(log.state("t1") if ids(log) else {}) == len(ids(log))
        assert log.verify() == []
        return known | new
