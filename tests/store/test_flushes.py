"""What SQLite does not show: whether a commit has reached the disk. Its flushes are counted below it."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from campaign.faults.injection import built, preloaded
from support.programs import command, environment

APPENDS = 30


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("faults"))


def flushes(library: Path, path: Path, durability: str) -> list[int]:
    """How many there had been when each of the appends was acknowledged."""
    begin, env = command("flush_counter.py", path, durability, APPENDS), environment(**preloaded(library))
    done = subprocess.run(begin, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(map(int, done.stdout.split()))


def test_every_acknowledged_append_was_flushed(library: Path, path: Path) -> None:
    counts = flushes(library, path, "full")

    assert len(counts) == APPENDS
    assert all(before < after for before, after in pairwise(counts))


def test_with_normal_durability_no_append_waits_for_a_flush(library: Path, path: Path) -> None:
    """This shows that the flushes counted are those of the appends."""
    assert len(set(flushes(library, path, "normal"))) == 1
