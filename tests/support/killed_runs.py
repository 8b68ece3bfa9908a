"""Runs whose process was killed at its work (killed_run.py), and what their log holds then."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.checks import assert_replays
from support.processes.killed_run import mortal
from support.programs import Process, started
from support.soundness import OPENED_LOGS
from threadlog.store import Changeset, Log
from threadlog.store.changeset import ToolExecution
from threadlog.store.listing import RunRow


@contextmanager
def at_work(path: Path, execution: ToolExecution, *names: str, locks: str = "flock") -> Iterator[Process]:
    """A process whose run r1 is at work: in a tool, in all tools, or without any in an inference."""
    waits = [name for name in names if name != "add"]
    OPENED_LOGS.note(path, [mortal(execution, *names)])
    with started(locks, "killed_run.py", path, execution, *names, script="lock_kind.py") as process:
        assert process.stdout
        for _ in waits[:1] if execution == "sequential" or not waits else waits:
            while process.stdout.readline() != "at work\n":
                assert process.poll() is None
        if not waits:
            assert process.stdout.readline() == "at work\n"
        wait_for(path, names.count("add") if execution == "parallel" else 0)
        yield process


def wait_for(path: Path, results: int) -> None:
    """Return when the log has the run, and as many results: a run does not wait for its commits."""
    with Log.open(path, readonly=True) as log:
        for _ in log.changes(timeout=30):
            reasons = [changeset.reason for changeset in log.read("t1")]
            if reasons and reasons.count("tool_results") >= results:
                return
    raise AssertionError("it is not in the log")


def crashed(path: Path, execution: ToolExecution, *names: str) -> None:
    """A run r1 on thread t1 whose process was killed at its work."""
    with at_work(path, execution, *names) as process:
        process.kill()
        process.wait()


def rows(path: Path) -> Sequence[RunRow]:
    with Log.open(path, readonly=True) as log:
        return log.runs()


def recoveries(path: Path) -> list[Changeset]:
    with Log.open(path, readonly=True) as log:
        return [each.changeset for each in log.entries() if each.changeset.reason == "recovered"]


async def assert_sound(path: Path, execution: ToolExecution, *names: str) -> None:
    """The log is intact, and what the run did before it died is what today's code does."""
    await assert_replays(path, mortal(execution, *names))
