"""Every write, sync, lock, open and cut of a scene fails, is cut short, or kills: one after the other.

PYTHONPATH=tests python -m campaign.parts.writes SEED CASE        one case again, as a finding names it
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaign.faults.injection import built, preloaded
from campaign.parts.part import Outcome, Part
from support.programs import TESTS, environment
from threadlog.store.document import loads


def writes(seed: int, short: bool, folder: Path) -> Outcome:
    with disk(folder) as place:
        return hurt(seed, "short" if short else "full", place)


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A folder in memory, where there is such a disk: a sync is made there, too, and takes no time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="threadlog-", dir=memory if memory.is_dir() else folder) as place:
        yield Path(place)


def hurt(seed: int, what: str, folder: Path) -> Outcome:
    """What came of the cases."""
    env = environment(**preloaded(built(folder)))
    with remote(folder / "asked") as url:
        command = [sys.executable, "-m", "campaign.processes.scene_player", str(folder), str(seed), url, what]
        done = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True, check=False)
    outcome = Outcome()
    for line in lines(folder):
        take(outcome, line, seed)
    if done.returncode:
        outcome.findings.append(f"the process that plays the scenes failed: {done.stderr}")
    outcome.findings.extend(f"seed {seed}: submitted twice: {each}" for each in twice(folder / "asked"))
    return outcome


@contextmanager
def remote(asked: Path) -> Iterator[str]:
    """The address of a remote agent."""
    command = [sys.executable, "-m", "campaign.processes.remote", str(asked)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=TESTS) as process:
        assert process.stdout
        yield process.stdout.readline().strip()


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("found-*")):
        yield from map(loads, file.read_bytes().splitlines())


def take(outcome: Outcome, line: dict[str, Any], seed: int) -> None:
    if "counts" in line:
        counts = ", ".join(f"{number} {kind}" for kind, number in line["counts"].items())
        sys.stdout.write(f"writes: {line['scene']} makes {counts} calls\n")
        return
    outcome.cases += 1
    outcome.counts[f"{line['kind']}s"] += line["fired"]
    if line["problem"]:
        again = f"PYTHONPATH=tests python -m campaign.parts.writes {seed} {line['case']!r}"
        outcome.findings.append(f"{line['case']} ({again}): {line['problem']}")


def twice(asked: Path) -> list[str]:
    """The messages that have reached the remote agent more than once."""
    return [each for each, times in Counter(asked.read_text().splitlines()).items() if times > 1]


PART = Part("writes", "each call on a file goes wrong in each way", writes)

if __name__ == "__main__":
    with disk(Path(tempfile.gettempdir())) as place:
        found = hurt(int(sys.argv[1]), sys.argv[2], place)
        sys.stdout.write("\n".join([f"{found.cases} cases", *found.findings, ""]))
        sys.exit(bool(found.findings))
