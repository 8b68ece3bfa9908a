"""Many processes at work on one file at once: nothing is lost, locked, doubled or torn.

Each is a `contender.py`. All that they were told is held against the log when they are over, and the log
against the laws that hold of every log. A seed repeats what they want, not who of them is faster.
"""

import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio

from campaign.parts.part import Outcome, Part
from campaign.processes.contender import PROBES
from campaign.scenes.crew import crew
from support.control_fold import Fold
from support.programs import Process, go, ready, started
from support.tree_fold import Tree
from threadlog.engine.replay.replay import replay_run
from threadlog.store import Log
from threadlog.store.history import Entry

PROCESSES = 8
SAMPLE = 500
"""Runs of which each is executed again."""
Given = Callable[[int], Mapping[str, str]]
PATIENCE = 300.0
"""Seconds after which work that is still active will not finish."""


class Race(NamedTuple):
    """How many processes keep how many runs going each, for how long."""

    name: str
    """With the seed."""
    processes: int
    at_once: int
    seconds: float


def run(seed: int, short: bool, folder: Path) -> Outcome:
    name = f"seed {seed} contention"
    race = Race(name, 3, 4, 2.0) if short else Race(name, PROCESSES, 32, 600.0)
    return raced(race, folder / "log.db")


def raced(race: Race, path: Path, given: Given = lambda _: {}) -> Outcome:
    """The race, and all that holds of its log. `given` are variables for each process."""
    outcome, begun = Outcome(cases=race.processes), time.monotonic()
    told = list(contended(race, path, given, outcome))
    _count(outcome, told, time.monotonic() - begun)
    with Log.open(path, readonly=True) as log:
        for check in (_kept, _whole, _lawful, _tidy):
            _held(check, log, told, outcome)
        runs = [row.run_id for row in log.runs()]
        sample = Random(f"{race.name} sample").sample(runs, k=min(SAMPLE, len(runs)))
        anyio.run(_replayed, log, sample, outcome)
    outcome.findings = [f"{race}: {each}" for each in outcome.findings]
    return outcome


def contended(race: Race, path: Path, given: Given, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """What each process was told. One that fails, or complains, is a finding."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                started(
                    *(path, f"{race.name} {number}", race.seconds, race.at_once),
                    script="campaign.processes.contender",
                    given=given(number),
                )
            )
            for number in range(race.processes)
        ]
        for process in processes:
            ready(process)
        for process in processes:
            go(process)
        words = [_said(process) for process in processes]
        if words == ["over"] * len(processes):
            _come_to_rest(path, outcome)
        for process in processes:
            said, errors = process.communicate("leave\n")
            if process.returncode or errors:
                outcome.findings.append(f"a process has left with {process.returncode}: {errors[-2000:]}")
            else:
                yield json.loads(said)


def _said(process: Process) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _come_to_rest(path: Path, outcome: Outcome) -> None:
    """Return when no run is active any more, including abandoned ones."""
    with Log.open(path, readonly=True) as log:
        for _ in log.changes(timeout=PATIENCE):
            if not (log.open_runs() or log.queued()):
                return
        outcome.findings.append(f"it does not come to rest: {log.open_runs()} {log.queued()}")


def _count(outcome: Outcome, told: Sequence[dict[str, Any]], seconds: float) -> None:
    waits = sorted(chain.from_iterable(each["waits"] for each in told))
    outcome.counts["runs"] = sum(len(each["started"]) for each in told)
    outcome.counts["decisions"] = sum(len(each["decided"]) for each in told)
    outcome.counts["decisions that came second"] = sum(each["outrun"] for each in told)
    outcome.counts["appends without a run"] = len(waits)
    outcome.counts["effects of tools"] = sum(len(each["noted"]) for each in told)
    outcome.counts["runs a minute"] = round(outcome.counts["runs"] / seconds * 60)
    outcome.counts["ms for the median append"] = round(waits[len(waits) // 2]) if waits else 0
    outcome.counts["ms for the slowest append"] = round(waits[-1]) if waits else 0
    outcome.findings += chain.from_iterable(each["problems"] for each in told)


Check = Callable[[Log, Sequence[dict[str, Any]], Outcome], None]


def _held(check: Check, log: Log, told: Sequence[dict[str, Any]], outcome: Outcome) -> None:
    try:
        check(log, told, outcome)
    except AssertionError:
        outcome.findings.append(traceback.format_exc(limit=-1))


def _kept(log: Log, told: Sequence[dict[str, Any]], outcome: Outcome) -> None:
    """What was acknowledged is in the log, once."""
    rows = {row.run_id: row for row in log.runs()}
    for each in told:
        assert each["started"] == [run_id for run_id in each["started"] if run_id in rows], "a run is lost"
        for run_id in set(each["started"]) - set(each["ended"]):
            outcome.findings.append(f"the end of run {run_id} was not told: {rows[run_id]}")
        for run_id, end in each["ended"].items():
            termination = rows[run_id].termination
            assert f"{rows[run_id].status} {termination and termination.type}" == end, rows[run_id]
    appended = [one.changeset.id for one in log.entries() if one.changeset.thread_id.startswith(PROBES)]
    assert sorted(appended) == sorted(chain.from_iterable(each["appended"] for each in told))


def _whole(log: Log, told: Sequence[dict[str, Any]], outcome: Outcome) -> None:
    """The file is intact, every thread is without a gap, every run has ended, no effect was had twice."""
    assert log.verify() == []
    for row in log.threads():
        assert [each.version for each in log.read(row.thread_id)] == list(range(1, row.version + 1))
    ends = Counter(row.termination and row.termination.type for row in log.runs())
    outcome.counts.update({f"{end}": number for end, number in ends.items()})
    assert set(ends) <= {"natural_end", "cancelled"}, ends
    noted = Counter(chain.from_iterable(each["noted"] for each in told))
    assert [key for key, times in noted.items() if times > 1] == []


def _lawful(log: Log, told: Sequence[dict[str, Any]], outcome: Outcome) -> None:
    """The laws of run control, and of runs that have others work for them, hold at every prefix."""
    fold = Fold(_of_runs(log))
    Tree(_of_runs(log))
    for each in told:
        for run_id, ticket, approved in each["decided"]:
            given: list[Any] = [e.content for e in fold.runs[run_id].entries if e.kind == "decide"]
            assert [one["approved"] for one in given if one["target"] == ticket] == [approved]


def _of_runs(log: Log) -> Iterator[Entry]:
    return (one for one in log.entries() if not one.changeset.thread_id.startswith(PROBES))


def _tidy(log: Log, told: Sequence[dict[str, Any]], outcome: Outcome) -> None:
    """Nothing is left beside the file but what its readers need."""
    beside = {each.name for each in log.path.parent.iterdir()} - {log.path.name}
    assert beside <= {f"{log.path.name}-wal", f"{log.path.name}-shm"}, beside


async def _replayed(log: Log, sample: Sequence[str], outcome: Outcome) -> None:
    agents = crew()
    for run_id in sample:
        outcome.counts["executed again"] += 1
        if divergence := await replay_run(log, run_id, agents):
            outcome.findings.append(f"run {run_id} does otherwise when it is executed again: {divergence}")


PART = Part("contention", "processes that run agents on one file at once", run)
