"""Power loss: recorded work is cut off at any call, and what was not flushed is lost, whole or in parts."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio

from campaign.faults.disk import HOWS, Call, Disk, How, recorded
from campaign.faults.injection import built, preloaded
from campaign.parts.part import Outcome, Part
from campaign.processes.writing import planner
from support.checks import assert_replays
from threadlog.engine import Decision, Runtime
from threadlog.engine.events.durable import durable_events
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.store import ANY, Changeset, Log
from threadlog.store.database import sqlite3
from threadlog.store.errors import RunError

WORKS = ("full", "normal", "runs")
SHORT_POINTS = 12
ROUNDS = 4
"""How often the work is recorded, each time with a seed of its own."""

FIFTH = 5
"""Behind every fifth call the runs go on, too: that takes fifteen times as long as to look."""


class Case(NamedTuple):
    """The power fails when so many calls are made."""

    work: str
    seed: int
    calls: int
    how: How

    def __str__(self) -> str:
        return (
            f"{self.work} of seed {self.seed}, behind call {self.calls}, of what was not flushed: {self.how}"
        )


def run(seed: int, short: bool, folder: Path) -> Outcome:
    library = built(folder)
    outcome = Outcome()
    for number in range(1 if short else ROUNDS):
        for work in WORKS:
            outcome += power_fails(work, seed + number, folder / f"{work}-{number}", library, short)
    if not outcome.counts["lost appends that were not flushed"]:
        outcome.findings.append("without a flush nothing was lost: the power did not fail")
    return outcome


def power_fails(work: str, seed: int, folder: Path, library: Path, short: bool) -> Outcome:
    """At every call, or a few, in every way."""
    calls = record(work, seed, folder, library)
    dice = random.Random(f"{seed} {work}")
    points = set(dice.sample(range(len(calls)), SHORT_POINTS)) if short else set(range(len(calls)))
    outcome, disk, acknowledged = Outcome(), Disk(folder / "live"), list[str]()
    for number, call in enumerate(calls):
        if number in points:
            how = dice.choice(HOWS)
            files = disk.after_power_loss(how, dice)
            outcome += look_at(Case(work, seed, number, how), files, acknowledged, folder / "after")
        if call.file.endswith("/said"):
            acknowledged += call.data.decode().splitlines()
        elif is_kept(call):
            disk.happens(call)
    return outcome


def record(work: str, seed: int, folder: Path, library: Path) -> Sequence[Call]:
    live, calls = folder / "live", folder / "calls"
    live.mkdir(parents=True)
    command = [sys.executable, "-m", "campaign.processes.writing", str(live), str(calls), work, str(seed)]
    subprocess.run(command, env=preloaded(library), check=True)
    return list(recorded(calls))


def is_kept(call: Call) -> bool:
    """Whether it matters after a power loss: SQLite's shared memory and our locks are the machine's."""
    return not call.file.endswith("-shm") and ".live" not in call.file


def look_at(case: Case, files: dict[str, bytes], acknowledged: list[str], folder: Path) -> Outcome:
    """Open what is left, as after the machine's start."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / os.path.basename(name)).write_bytes(content)
    outcome = Outcome(1)
    try:
        lost = check(folder / "log.db", case, acknowledged)
        outcome.counts["lost appends that were not flushed"] += lost
    except Exception as err:
        outcome.findings.append(f"{case}: {err!r}")
    return outcome


def check(path: Path, case: Case, acknowledged: list[str]) -> int:
    """How much is missing of what was acknowledged: nothing, if it was to be flushed."""
    with Log.open(path) as log:
        assert_whole(log)
        lost = set(acknowledged) - held(log)
        assert case.work == "normal" or not lost, f"lost: {lost}"
        log.append(Changeset(id="next", thread_id="next", reason="edited", at=1), ANY)
        assert log.verify() == []
    if case.work == "runs" and case.calls % FIFTH == 0:
        anyio.run(go_on, path, random.Random(str(case)))
    return len(lost)


def assert_whole(log: Log) -> None:
    assert log.verify() == []
    connection = sqlite3.connect(log.path)
    assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    connection.close()


def held(log: Log) -> set[str]:
    """What the log has of the things that may have been acknowledged, in their words."""
    words = set[str]()
    for entry in log.entries():
        changeset = entry.changeset
        words.add(changeset.id)
        if changeset.entry:
            words.add(f"steered {changeset.run_id} {changeset.entry.id}")
        words |= {f"{changeset.run_id} {each.cursor}" for each in durable_events(entry)}
    return words


async def go_on(path: Path, dice: random.Random) -> None:
    """Every run comes to its end, and can be executed again."""
    orphans: OrphanPolicy = dice.choice(["stop", "ask", "resume"])
    async with Runtime.open(path, agents=[planner()], orphans=orphans) as runtime:
        while rows := runtime.active_runs():
            for row in rows:
                for call in runtime.pending(row.run_id):
                    # It may have been decided when the power failed.
                    with suppress(RunError):
                        await runtime.decide(row.run_id, [Decision(call.call_id, dice.random() < 0.5)])
            await runtime.get_run(rows[0].run_id).result()
        assert await runtime.recover() == []
    await assert_replays(path, planner())


PART = Part("power", "the power fails behind any call on the files", run)
