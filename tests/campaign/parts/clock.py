"""The time of day is set back and forth all the time, in every process by itself: nothing may hang on it.

Processes race (contention.py) and are killed (deaths.py) while `unsteady.c` answers what the time is: up to a
day off, and sometimes ten years. What holds of every log holds of theirs. Besides: what is listed is in the
order of the log; in an epoch the time goes by as it did; and no run has stopped for being too slow.
"""

import os
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from campaign.faults.injection import built
from campaign.parts.contention import Race, raced
from campaign.parts.deaths import Deaths
from campaign.parts.part import Outcome, Part
from threadlog.reducers.statistics import statistics
from threadlog.store import Changeset, Log

HOUR = 3_600_000_000
RECOVERY = ("recovered", "superseded")
"""Changesets written by another process, with its own clock."""


def run(seed: int, short: bool, folder: Path) -> Outcome:
    library = built(folder, "unsteady")

    def unsteady(number: int) -> Mapping[str, str]:
        return {**os.environ, "LD_PRELOAD": str(library), "THREADLOG_CLOCK": str(seed + number)}

    (folder / "race").mkdir()
    name = f"seed {seed} clock"
    race = Race(name, 3, 4, 2.0) if short else Race(name, 4, 16, 120.0)
    outcome = raced(race, folder / "race" / "log.db", unsteady)
    (folder / "deaths").mkdir()
    deaths = Deaths(seed, folder / "deaths", unsteady(race.processes))
    for _ in range(1 if short else 4):
        deaths.die(4 if short else 50)
    outcome += deaths.end(sample=500)
    for path in (folder / "race" / "log.db", deaths.path):
        with Log.open(path, readonly=True) as log:
            outcome += looked_at(log, f"seed {seed}, {path.parent.parent.name}")
    if not outcome.counts["times that the log goes back in time"]:
        outcome.findings.append(f"seed {seed}: the clock was never set back")
    return outcome


def looked_at(log: Log, name: str) -> Outcome:
    outcome = Outcome()
    history = [each.changeset for each in log.entries()]
    back = sum(later.at < earlier.at for earlier, later in pairwise(history))
    outcome.counts["times that the log goes back in time"] = back
    begun = [each.run_id for each in history if each.reason == "run_started"]
    if [row.run_id for row in log.runs()] != begun:
        outcome.findings.append(f"{name}: the runs are not listed as they began")
    for key, epoch in epochs(history).items():
        at = [each.at for each in epoch if each.reason not in RECOVERY]
        if not all(0 <= later - earlier < HOUR for earlier, later in pairwise(at)):
            outcome.findings.append(f"{name}: the time has not gone by in {key}: {at}")
        if statistics(epoch).duration < 0:
            outcome.findings.append(f"{name}: {key} has taken less than no time")
        ends = [each.run.termination for each in epoch if each.run and each.run.termination]
        if any(end.code == "timeout_reached" for end in ends):
            outcome.findings.append(f"{name}: {key} was stopped for being too slow")
    return outcome


def epochs(history: list[Changeset]) -> dict[tuple[str, int], list[Changeset]]:
    found: dict[tuple[str, int], list[Changeset]] = defaultdict(list)
    for each in history:
        if each.run_id and not each.entry:
            found[each.run_id, each.epoch].append(each)
    return found


PART = Part("clock", "processes whose time of day is set back and forth all the time", run)
