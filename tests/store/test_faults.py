"""Calls on the log's files fail for a moment: whoever has it open says so, or goes on when they do not."""

import subprocess
from pathlib import Path

import pytest

from campaign.faults.injection import built, preloaded
from support.programs import command, environment
from threadlog.engine import Runtime
from threadlog.store.errors import LogUnavailable


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("faults"))


def faulty(library: Path, what: str, path: Path) -> str:
    """What a process fails with in which calls go wrong; it may warn."""
    begin = command("file_faults.py", what, path)
    env = environment(**preloaded(library), PYTHONWARNINGS="ignore")
    done = subprocess.run(begin, env=env, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def test_a_log_is_not_opened_halfway(library: Path, path: Path) -> None:
    """Not as a copy, and not to be read only: SQLite does without a word what it can."""
    assert faulty(library, "opening", path) == ""


def test_a_log_that_is_open_is_not_copied(library: Path, path: Path) -> None:
    assert faulty(library, "beside", path) == ""


def test_who_cannot_be_looked_at_counts_as_alive(library: Path, path: Path) -> None:
    assert faulty(library, "alive", path) == ""


def test_a_lock_file_that_cannot_be_removed_is_let_go_of(library: Path, path: Path) -> None:
    assert faulty(library, "let_go", path) == ""


def test_a_run_that_was_decided_goes_on_when_it_can(library: Path, path: Path) -> None:
    assert faulty(library, "decided", path) == ""


def test_a_queued_run_begins_when_it_can(library: Path, path: Path) -> None:
    assert faulty(library, "queued", path) == ""


def test_who_asks_for_a_run_whose_commits_failed_is_told_so(library: Path, path: Path) -> None:
    assert faulty(library, "asked_for", path) == ""


@pytest.mark.anyio
async def test_a_runtime_that_cannot_read_its_log_says_so_when_it_is_entered(path: Path) -> None:
    runtime = Runtime.open(path, agents=[])
    runtime.log.close()

    with pytest.raises(LogUnavailable, match="closed"):
        async with runtime:
            pass
