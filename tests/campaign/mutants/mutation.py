"""The mutation check: every deliberate fault is caught by the tests that are named for it.

    PYTHONPATH=tests python -m campaign.mutants.mutation [NAME…] [--list] [-j 2]

Each fault is put into a copy of the tree. There `tests/threadlog` leads to the copy, and tests/ comes first
wherever Python looks for modules: so the copy is what the tests import, and every process that they start.
The exit code is 1 if a fault survives. A fault that hangs is caught only if the test's own time-out says so.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click

from campaign.mutants.control import CONTROL
from campaign.mutants.crash import CRASH
from campaign.mutants.mutant import Mutant
from campaign.mutants.reducers import REDUCERS
from campaign.mutants.store import STORE

ROOT = Path(__file__).parents[3]
ALL = (*STORE, *REDUCERS, *CRASH, *CONTROL)

PYTEST = (
    *(sys.executable, "-m", "pytest", "-x", "-q", "--timeout", "60", "-p", "no:cacheprovider"),
    *("--all", "--hypothesis-profile", "faults"),
)
PATIENCE = 300
"""Seconds for the tests of one fault. Tests that take longer have not reported a failure."""

NOT_SOURCE = (".*", "__pycache__", "build", "node_modules", "*.egg-info")

FAILED = 1
"""pytest: the tests were run, and one failed. Whatever else it says, no test has judged."""


class Verdict(NamedTuple):
    """What the tests have made of a fault."""

    mutant: Mutant
    caught_by: str | None
    seconds: float
    output: str

    def __str__(self) -> str:
        told = f"caught by {self.caught_by}" if self.caught_by else "SURVIVED"
        return f"{self.mutant.name}: {told} ({self.seconds:.1f} s)"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="Say which faults there are, and who catches them.")
@click.option("-j", "jobs", default=2, show_default=True, help="How many at a time.")
def mutation(names: tuple[str, ...], only_list: bool, jobs: int) -> None:
    """Put faults into the code, those whose names contain NAME: 1 if one survives."""
    chosen = [mutant for mutant in ALL if not names or any(name in mutant.name for name in names)]
    if not chosen:
        raise click.UsageError("no fault is called so: see --list")
    if only_list:
        click.echo("\n".join(f"{each.file}: {each.name}: {', '.join(each.tests)}" for each in chosen))
        return
    with tempfile.TemporaryDirectory(prefix="threadlog-mutation-") as folder:
        survivors = [verdict for verdict in judged(chosen, Path(folder), jobs) if not verdict.caught_by]
    for verdict in survivors:
        click.echo(f"\n{verdict}\n{verdict.output[-2000:]}", err=True)
    click.echo(f"{len(chosen) - len(survivors)} of {len(chosen)} faults are caught")
    sys.exit(bool(survivors))


def judged(mutants: Sequence[Mutant], folder: Path, jobs: int) -> list[Verdict]:
    """What the tests make of the faults; the same tests pass without them."""
    sound = folder / "sound"
    copied(ROOT, sound)
    pass_without_faults(mutants, sound)
    with ThreadPoolExecutor(jobs) as workers:
        places = [folder / f"fault-{number}" for number in range(len(mutants))]
        return list(workers.map(_told, mutants, places, [sound] * len(mutants)))


def _told(mutant: Mutant, place: Path, sound: Path) -> Verdict:
    verdict = verdict_on(mutant, place, sound)
    click.echo(str(verdict))
    return verdict


def copied(tree: Path, place: Path) -> None:
    """Copy the tree so that the copy is what Python imports there."""
    shutil.copytree(tree, place, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    (place / "tests" / "threadlog").symlink_to("..")
    probe = [sys.executable, "-c", "import threadlog; print(threadlog.__file__)"]
    found = subprocess.run(probe, env=environment(place), check=True, capture_output=True, text=True).stdout
    if Path(found.strip()).resolve() != (place / "__init__.py").resolve():
        raise RuntimeError(f"Python would test {found.strip()}, not the copy in {place}")


def environment(place: Path) -> dict[str, str]:
    """For processes that import the copy."""
    return {**os.environ, "PYTHONPATH": str(place / "tests")}


def pass_without_faults(mutants: Sequence[Mutant], sound: Path) -> None:
    """Run all the named tests where there is no fault: else to fail would mean nothing."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    code, output = tested(sound, tests, PATIENCE * 4)
    if code:
        raise click.ClickException(f"without any fault the tests fail, with {code}:\n{output[-4000:]}")
    click.echo(f"without any fault all the tests pass: {len(tests)}")


def verdict_on(mutant: Mutant, place: Path, sound: Path) -> Verdict:
    """Put the fault into a copy of the sound tree, and run its tests there."""
    shutil.copytree(sound, place, symlinks=True)
    file = place / mutant.file
    file.write_text(mutant.applied(file.read_text("utf-8")), "utf-8")
    begun = time.monotonic()
    code, output = tested(place, mutant.tests, PATIENCE)
    seconds = time.monotonic() - begun
    shutil.rmtree(place)
    return Verdict(mutant, _first_failed(output) if code == FAILED else None, seconds, output)


def tested(place: Path, tests: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """The exit code of pytest, and what it says; no code if it came to no end."""
    command = [*PYTEST, *(f"tests/{test}" for test in tests)]
    said = place.with_name(f"{place.name}.txt")
    with said.open("w") as output:
        # A session of its own: what the tests leave behind under a fault ends with them.
        process = subprocess.Popen(
            command, cwd=place, env=environment(place), stdout=output, stderr=output, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return code, said.read_text("utf-8", "replace")


def _first_failed(output: str) -> str | None:
    found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", output, re.MULTILINE)
    return found and found[1]


if __name__ == "__main__":
    mutation()
