"""One process lives very long: what it takes up after 10,000 runs is what it took up after 2,000.

Memory, file handles, threads, tasks, files beside the log, and every kind of Python object, so that nothing
the runtime keeps can grow unseen. The write-ahead log is begun anew by SQLite when it has 1,000 pages
(4 MB) and no reader needs the old ones. A read of ours ends before its caller sees it, so no reader of ours
holds it back for long; a foreign reader that never ends would.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from campaign.parts.part import Outcome, Part
from campaign.processes.longlived import ALL_ITEMS
from support.programs import Process, go, ready, started
from threadlog.store import Log

MARKS = (2_000, 10_000)
SHORT = (40, 120)

BOUNDS = {
    "KB of memory": 5_000,
    "file handles": 2,
    "threads": 24,
    "tasks": 0,
    "KB of write-ahead log": 4_096,
    "liveness files": 0,
}
"""By how much each may grow. SQLite and the allocator keep some memory; idle threads come and go."""

OBJECTS = 1_500
"""By how many the objects of a kind may: one for every fifth run. The writer knows up to 256 threads."""

ITEMS = 15_000
"""By how many all that is in containers may."""

LOG_KB = 16_384
"""How large the write-ahead log may become while a reader comes and goes."""


def run(seed: int, short: bool, folder: Path) -> Outcome:
    marks, path = SHORT if short else MARKS, folder / "log.db"
    outcome = Outcome(cases=marks[-1])
    with ExitStack() as stack:
        arguments = (path, f"{seed} soak", *marks)
        living = ready(stack.enter_context(started(*arguments, script="campaign.processes.longlived")))
        reader = ready(stack.enter_context(started(path, script="campaign.processes.reading")))
        go(living)
        Log.open(path).close()
        go(reader)
        measured = _measured(living, len(marks), outcome)
        _read(reader, outcome)
    if len(measured) == len(marks):
        _compare(measured[0], measured[-1], outcome)
    _look_at(path, outcome)
    outcome.findings = [f"seed {seed}, {marks[-1]} runs: {each}" for each in outcome.findings]
    return outcome


def _measured(living: Process, marks: int, outcome: Outcome) -> list[dict[str, Any]]:
    assert living.stdout
    said = [line for line in [living.stdout.readline() for _ in range(marks)] if line]
    _, errors = living.communicate()
    if living.returncode or errors:
        outcome.findings.append(f"the process has left with {living.returncode}: {errors[-2000:]}")
    return [json.loads(line) for line in said]


def _read(reader: Process, outcome: Outcome) -> None:
    looks, errors = reader.communicate("enough\n")
    if reader.returncode or errors:
        outcome.findings.append(f"a reader has left with {reader.returncode}: {errors[-2000:]}")
    else:
        outcome.counts["looks of a reader"] = int(looks)


def _compare(before: dict[str, Any], after: dict[str, Any], outcome: Outcome) -> None:
    for what, bound in BOUNDS.items():
        outcome.counts[f"{what} at the end"] = after[what]
        if after[what] > before[what] + bound:
            outcome.findings.append(f"{what}: {before[what]}, and at the end {after[what]}")
    if after["KB of write-ahead log"] > LOG_KB:
        outcome.findings.append(f"the write-ahead log has {after['KB of write-ahead log']} KB")
    for kind, number in after["objects"].items():
        bound = ITEMS if kind == ALL_ITEMS else OBJECTS
        if number > (known := before["objects"].get(kind, 0)) + bound:
            outcome.findings.append(f"objects of {kind}: {known}, and at the end {number}")


def _look_at(path: Path, outcome: Outcome) -> None:
    """All runs are over, and the log is intact."""
    with Log.open(path) as log:
        outcome.counts["changesets"] = log.position()
        outcome.counts["sub-agents"] = sum(row.parent_run_id is not None for row in log.runs())
        left = log.open_runs()
        outcome.findings += [f"{each}" for each in (*log.verify(), *left)]
    if beside := {each.name for each in path.parent.iterdir()} - {path.name}:
        outcome.findings.append(f"files are left: {beside}")


PART = Part("soak", "runs of one process that stays open", run)
