"""A disk that gets full, and has room again, while runs go on: a small tmpfs, where one may be mounted."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

import anyio

from campaign.parts.part import Outcome, Part
from campaign.parts.power import held
from campaign.processes.writing import planner
from support.checks import assert_replays
from support.small_disk import small_disk
from threadlog.engine import Runtime
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.store import Log

ROUNDS, SHORT_ROUNDS = 400, 2
SIZE = "4m"
PATIENCE = 60.0

Process = subprocess.Popen[str]


def run(seed: int, short: bool, folder: Path) -> Outcome:
    outcome = Outcome()
    for number in range(SHORT_ROUNDS if short else ROUNDS):
        dice = random.Random(f"{seed} {number}")
        try:
            with small_disk(folder, SIZE) as is_mounted:
                if not is_mounted:
                    outcome.counts["disks that could not be mounted"] += 1
                    return outcome
                outcome += filled(folder, dice)
        except Exception as err:
            outcome.findings.append(f"round {number} of seed {seed}: {err!r}")
    return outcome


def filled(disk: Path, dice: random.Random) -> Outcome:
    """The disk gets full some times while a process works; then the process leaves, or is killed."""
    path, told, outcome = disk / "log.db", list[str](), Outcome(1)
    with working(path) as process:
        for _ in range(dice.randrange(1, 4)):
            fill(disk / "ballast", dice.randrange(0, 200_000))
            told += said_until("full", process)
            (disk / "ballast").unlink()
            outcome.counts["times full"] += 1
            if dice.random() < 0.3:
                process.kill()
                outcome.counts["killed while it was"] += 1
                break
            write(process, "go")
            told += said_until("room", process)
        process.kill()
    outcome.counts["facts told"] += len(told)
    look_at(path, told)
    orphans: OrphanPolicy = dice.choice(["stop", "resume"])
    anyio.run(recovered, path, orphans)
    return outcome


@contextmanager
def working(path: Path) -> Iterator[Process]:
    command = [sys.executable, "-m", "campaign.processes.filling", str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        watch = Timer(PATIENCE, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


def fill(ballast: Path, room: int) -> None:
    """Leave so many bytes on the disk."""
    with ballast.open("wb") as file:
        while True:
            disk = os.statvfs(ballast.parent)
            # What is free may be taken by others before it is ours.
            with suppress(OSError):
                return os.posix_fallocate(file.fileno(), 0, max(disk.f_bavail * disk.f_frsize - room, 1))


def write(process: Process, line: str) -> None:
    assert process.stdin
    process.stdin.write(f"{line}\n")


def said_until(last: str, process: Process) -> list[str]:
    assert process.stdout
    told = list[str]()
    for line in process.stdout:
        if line.strip() == last:
            return told
        told += [line.strip()] if line[0].isdigit() else []
    raise AssertionError(f"it has never said {last!r}, but {told[-1:]}")


def look_at(path: Path, told: list[str]) -> None:
    # It may be empty yet, where it was full before a log could be made.
    with Log.open(path) as log:
        assert log.verify() == []
        assert set(told) <= held(log)


async def recovered(path: Path, orphans: OrphanPolicy) -> None:
    async with Runtime.open(path, agents=[planner()], orphans=orphans) as runtime:
        for row in runtime.active_runs():
            await runtime.get_run(row.run_id).result()
            await runtime.cancel(row.run_id, wait=True)
        assert await runtime.recover() == []
    await assert_replays(path, planner())


PART = Part("full", "the disk gets full while runs go on, and has room again", run)
