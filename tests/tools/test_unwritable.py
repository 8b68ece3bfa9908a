"""Every command without write access, and on a full disk."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import ALL, READING, Called, assert_refused, call
from support.logs import value_changeset
from support.programs import environment
from threadlog.store import Log

UNPRIVILEGED = """
import json, os, sys
from support.command import ALL, call
path, readable = sys.argv[1:]
# Import everything first: afterwards this process cannot read its modules.
for command in ALL:
    call(command, "--db", readable)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for place in (path, os.path.dirname(path)):
    if os.access(place, os.W_OK):
        sys.exit(f"{place} can still be written")
print(json.dumps({command: call(command, "--db", path) for command in ALL}))
"""


def unprivileged(path: Path, readable: Path) -> dict[str, Called]:
    """Call every command in a process that can write neither to the log nor to its folder."""
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, path, readable],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {command: Called(*called) for command, called in json.loads(done.stdout).items()}


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_without_write_access_a_log_can_be_read_but_not_rebuilt(db: Path, own: Path, public: Path) -> None:
    path = Path(shutil.copy(db, public))
    path.chmod(0o444)
    public.chmod(0o555)

    called = unprivileged(path, own)

    assert_refused(called.pop("rebuild"), 4)
    assert {command: (code, err) for command, (code, _, err) in called.items()} == dict.fromkeys(
        READING, (0, "")
    )
    assert {file.name: file.read_bytes() for file in public.iterdir()} == {path.name: db.read_bytes()}


def test_without_write_access_the_write_ahead_log_is_read_too(own: Path, public: Path) -> None:
    with Log.open(own) as log:
        log.append(value_changeset("/late", 1, thread_id="trip"), 8)
        for file in own.parent.glob("own.db*"):
            Path(shutil.copy(file, public)).chmod(0o444)
    (public / "own.db-shm").unlink()
    public.chmod(0o555)

    called = unprivileged(public / "own.db", own)

    assert '"late": 1' in called["state trip"].out
    assert {command: called[command].code for command in READING} == dict.fromkeys(READING, 0)
    assert "this is a copy made now" in called["threads"].err


@pytest.mark.parametrize("hidden", ["file", "folder"])
@pytest.mark.long
def test_without_read_access_every_command_is_refused(db: Path, own: Path, public: Path, hidden: str) -> None:
    path = Path(shutil.copy(db, public))
    public.chmod(0o555)
    (path if hidden == "file" else public).chmod(0)

    called = unprivileged(path, own)

    for command in ALL:
        assert_refused(called[command], 4)


LIMITED = """
import resource, sys
from threadlog.tools.cli import main
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
main()
"""


def limited(size: int, *arguments: object) -> Called:
    """Call the command in a process that cannot write files larger than `size` bytes."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, (size, *arguments))],
        capture_output=True,
        text=True,
        check=False,
    )
    return Called(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("size", [0, 5_000, 60_000, 150_000])
@pytest.mark.long
def test_the_demo_reports_a_full_disk(tmp_path: Path, size: int) -> None:
    assert_refused(limited(size, "demo", "--folder", tmp_path / "demo"), 4)


def test_a_rebuild_on_a_full_disk_leaves_the_log_intact(own: Path) -> None:
    assert_refused(limited(own.stat().st_size // 2, "rebuild", "--db", own), 4)

    assert call("verify", "--db", own).code == 0
