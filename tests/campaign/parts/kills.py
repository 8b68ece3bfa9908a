"""Processes are killed, thousands of them, while a second one is at work on the same file.

First those of deaths.py, at chosen calls on the file. Then, in full only, the tests that kill processes at
random moments and at moments of their own, again and again: what they print of themselves is summed up.
"""

import os
import re
import subprocess
import sys
from itertools import count
from pathlib import Path
from random import Random

from campaign.parts.deaths import Deaths
from campaign.parts.part import Outcome, Part

KILLS = 2_000
DEATHS = 900
"""Of these, at chosen calls."""

SUITES = (
    "store/test_processes.py",
    "engine/control/test_processes.py",
    "engine/delegation/test_processes.py",
    "engine/remote/test_crash.py",
)
LONGEST = 3_600.0
"""Seconds after which a test hangs."""


def run(seed: int, short: bool, folder: Path) -> Outcome:
    deaths = Deaths(seed, folder)
    for _ in range(1 if short else DEATHS // 60):
        deaths.die(6 if short else 60)
    outcome = deaths.end(sample=500)
    sys.stdout.write(f"kills: {dict(outcome.counts)}\n")
    outcome.counts.update({"kills": outcome.cases, "rounds of the tests that kill": 0})
    for round in count() if not short else ():
        if outcome.counts["kills"] >= KILLS:
            break
        outcome.counts["rounds of the tests that kill"] += 1
        for suite in SUITES:
            done = suited(suite, Random(f"{seed} kills {round} {suite}").randrange(2**32))
            sys.stdout.write(f"kills: {suite}: {dict(done.counts)}\n")
            sys.stdout.flush()
            outcome += done
    return outcome


def suited(suite: str, seed: int) -> Outcome:
    """What a file of tests has done, and whether it failed."""
    tests = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--all",
        "-s",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tests / suite),
    ]
    environment = {**os.environ, "THREADLOG_LONG": "1", "THREADLOG_SEED": str(seed)}
    begun = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tests
    )
    outcome = Outcome()
    try:
        said, _ = begun.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        begun.kill()
        said, _ = begun.communicate()
    for line in re.findall(r"^\.*(\d+ kills\b.*)$", said, re.MULTILINE):
        for number, what in re.findall(r"(\d+) ([a-z ]+)", line):
            outcome.counts[what.strip()] += int(number)
    outcome.cases = outcome.counts["kills"]
    if begun.returncode or not outcome.cases:
        repeat = f"THREADLOG_LONG=1 THREADLOG_SEED={seed} pytest --all {suite}"
        outcome.findings.append(f"{repeat} has left with {begun.returncode}: {said[-3000:]}")
    return outcome


PART = Part("kills", "processes killed while others are at work on the same file", run)
