"""Who is alive: a lock for each open runtime, which the kernel takes back when its process dies.

The kind that Windows has runs here on the library's flock: what Windows itself does is not tested.
"""

import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.agents import gated_agent
from support.killed_runs import at_work
from support.log_reads import read_runs
from support.models import GatedModel
from support.processes.lock_kind import KINDS
from threadlog.engine import Runtime
from threadlog.engine.runs import liveness, windows_lock
from threadlog.engine.runs.liveness import Liveness, _remove
from threadlog.store.errors import LogError, LogUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each kind of lock in turn, as if it were the one of this system."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liveness, "LOCK_KIND", KINDS[request.param])
        yield request.param


def locks(path: Path) -> list[str]:
    folder = path.with_name(path.name + ".live")
    return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.mark.usefixtures("kind")
async def test_two_runtimes_of_one_process_see_each_other(path: Path) -> None:
    model = GatedModel()
    async with Runtime.open(path, agents=[gated_agent(model)], durability="normal") as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        (row,) = runtime.log.runs()
        assert row.executor
        assert locks(path) == [row.executor.id]
        async with Runtime.open(path, agents=[gated_agent()]) as other:
            assert len(locks(path)) == 2
            assert await other.recover() == []
        (await model.next_request()).answer("done")
        assert (await run.result()).output == "done"

    assert not Liveness(path).is_alive(row.executor.id)
    assert not path.with_name("log.db.live").exists()


def test_a_killed_process_holds_nothing(path: Path, kind: str) -> None:
    with at_work(path, "parallel", "pay", locks=kind) as process:
        (row,) = read_runs(path)
        assert row.executor
        assert Liveness(path).is_alive(row.executor.id)
        process.kill()
        process.wait()

    assert locks(path) == [row.executor.id]
    assert not Liveness(path).is_alive(row.executor.id)


async def test_the_run_of_a_killed_process_is_recovered(path: Path, kind: str) -> None:
    with at_work(path, "parallel", "pay", locks=kind) as process:
        process.kill()
        process.wait()
    async with Runtime.open(path, agents=[]) as runtime:
        assert [row.status for row in runtime.log.runs()] == ["done"]
        assert len(locks(path)) == 1


def test_a_stopped_process_is_alive(path: Path, kind: str) -> None:
    with at_work(path, "parallel", "pay", locks=kind) as process:
        (row,) = read_runs(path)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert row.executor
        assert Liveness(path).is_alive(row.executor.id)


def wait_for(begun: int, end: int) -> None:
    """A child process that reports when it is ready and stays until its input closes."""
    os.write(begun, b"x")
    os.read(end, 1)


def test_a_forked_child_does_not_keep_the_lock_of_its_parent(path: Path) -> None:
    alive, (ready, begun), (end, ours) = Liveness(path), os.pipe(), os.pipe()
    with alive.hold("parent"):
        file = os.open(path.with_name("log.db.live") / "parent", os.O_RDONLY)
        child = multiprocessing.get_context("fork").Process(target=wait_for, args=(begun, end), daemon=True)
        child.start()
        os.read(ready, 1)
        assert alive.is_alive("parent")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert child.is_alive()
    os.write(ours, b"x")
    child.join()
    for each in (ready, begun, end, ours, file):
        os.close(each)


@pytest.mark.usefixtures("kind")
def test_the_lock_lies_beside_the_file_whatever_link_leads_to_it(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    path.touch()
    with Liveness(link).hold("e1"):
        assert locks(path) == ["e1"]
        assert Liveness(path).is_alive("e1")


@pytest.mark.does_not_replay("the copy is opened without the agents")
def test_a_copy_of_the_file_does_not_inherit_its_owners(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with at_work(path, "parallel", "pay"):
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", f"{copy}{end}")
        with Runtime.open(copy, agents=[]) as runtime:
            assert runtime.log.open_runs() == []
        assert [row.status for row in read_runs(path)] == ["running"]


def test_a_file_with_a_second_hard_link_is_refused(path: Path, tmp_path: Path) -> None:
    with Runtime.open(path, agents=[]):
        pass
    os.link(path, tmp_path / "second.db")

    for each in (path, tmp_path / "second.db"):
        with pytest.raises(LogUnavailable, match="one of 2 hard links"):
            Runtime.open(each, agents=[])


@pytest.mark.usefixtures("kind")
def test_of_two_with_the_same_id_the_second_is_refused(path: Path) -> None:
    with (
        Liveness(path).hold("e1"),
        pytest.raises(LogError, match="ids must be unique"),
        Liveness(path).hold("e1"),
    ):
        pass


@pytest.mark.usefixtures("kind")
def test_what_the_dead_have_left_is_removed_and_nothing_else(path: Path) -> None:
    alive = Liveness(path)
    with alive.hold("alive"):
        for name in ("dead", "looked-at"):
            path.with_name("log.db.live").joinpath(name).touch()
        alive.sweep({"looked-at"})
        assert locks(path) == ["alive", "looked-at"]
        assert alive.is_alive("alive")


@pytest.mark.usefixtures("kind")
def test_the_file_of_a_living_one_is_not_removed(path: Path) -> None:
    """though it was dead when it was looked at"""
    with Liveness(path).hold("e1"), pytest.raises(BlockingIOError):
        _remove(path.with_name("log.db.live") / "e1")


def test_a_lock_is_held_on_the_file_that_has_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous holder removes the file after another process has opened it, before that one locks it."""
    lock = fcntl.flock

    def lock_late(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        path.with_name("log.db.live").joinpath("e1").unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with Liveness(path).hold("e1"):
        assert locks(path) == ["e1"]
        assert Liveness(path).is_alive("e1")


@pytest.mark.usefixtures("kind")
def test_to_look_makes_no_file(path: Path) -> None:
    assert not Liveness(path).is_alive("e1")
    assert not path.with_name("log.db.live").exists()


@contextmanager
def looked_at(file: Path) -> Iterator[None]:
    """A Windows lock, which is held for a moment by every process that inspects it."""
    look = windows_lock.acquire(file, create=True)

    def wait(_event: threading.Event, _timeout: float) -> None:
        look.unlock()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Event, "wait", wait)
        yield


def test_who_looks_does_not_take_another_who_looks_for_the_owner(path: Path) -> None:
    with looked_at(path):
        assert not windows_lock.is_held(path)


def test_an_owner_waits_for_who_only_looks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "LOCK_KIND", windows_lock)
    folder = path.with_name("log.db.live")
    folder.mkdir()
    with looked_at(folder / "e1"), Liveness(path).hold("e1"):
        assert Liveness(path).is_alive("e1")


def test_the_library_for_windows_is_not_needed_elsewhere() -> None:
    code = "import sys; sys.modules['filelock'] = None; import threadlog.tools.cli"
    subprocess.run([sys.executable, "-c", code], check=True)
