"""File operations fail temporarily: the log reports it, or continues once they succeed."""

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


def test_a_log_is_never_opened_halfway(library: Path, path: Path) -> None:
    """Neither as a copy nor read-only: SQLite silently does what it can."""
    assert faulty(library, "opening", path) == ""


def test_an_open_log_is_not_copied(library: Path, path: Path) -> None:
    assert faulty(library, "beside", path) == ""


def test_a_process_that_cannot_be_inspected_counts_as_alive(library: Path, path: Path) -> None:
    assert faulty(library, "alive", path) == ""


def test_a_lock_file_that_cannot_be_removed_is_released(library: Path, path: Path) -> None:
    assert faulty(library, "let_go", path) == ""


def test_a_decided_run_continues_when_it_can(library: Path, path: Path) -> None:
    assert faulty(library, "decided", path) == ""


def test_a_queued_run_starts_when_it_can(library: Path, path: Path) -> None:
    assert faulty(library, "queued", path) == ""


def test_the_caller_learns_that_the_commits_of_a_run_failed(library: Path, path: Path) -> None:
    assert faulty(library, "asked_for", path) == ""


@pytest.mark.anyio
async def test_a_runtime_that_cannot_read_its_log_says_so_on_entry(path: Path) -> None:
    runtime = Runtime.open(path, agents=[])
    runtime.log.close()

    with pytest.raises(LogUnavailable, match="closed"):
        async with runtime:
            pass
