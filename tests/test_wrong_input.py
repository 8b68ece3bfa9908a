import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import planner
import pytest
from calls import ALL, PROGRAM, READING, Called, assert_refused, bytes_of, call, ended, run, start
from examples import raw, setting

from threadlog.store import Log
from threadlog.tools.demo.expenses import SAMPLE

NO_THREAD = ("runs --thread nope", "show nope", "log nope", "state nope", "diff nope 1", "replay nope")
BEYOND = 10**30
"""More than any column or C integer holds."""

NO_VERSION = (
    "show trip --at 9",
    "show trip --at -1",
    f"show trip --at {BEYOND}",
    "log trip --after 9",
    "log trip --after -1",
    "log trip --until 9",
    "log trip --until -1",
    f"log trip --until {BEYOND}",
    "log --after -1",
    f"log --after -{BEYOND}",
    "state trip --at 9",
    "state trip --at -1",
    f"state trip --at -{BEYOND}",
    "diff trip 9",
    "diff trip 1 9",
    f"diff trip {BEYOND}",
)
NO_SUCH_USE = (
    "nope",
    "show",
    "state",
    "diff trip",
    "show trip more",
    "show trip --at x",
    "log --until 3",
    "log trip --after 1.5",
    "diff trip one",
    "state trip budget",
    "state trip /~2",
    "replay --level nope",
    "replay --agents planner.py",
    "demo --nope",
    "demo --input nope.csv",
    "demo more",
)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that runs of an agent have left. Tests only read it."""
    path = tmp_path_factory.mktemp("wrong") / "trips.db"
    planner.make_log(path)
    return path


@pytest.fixture
def own(db: Path, tmp_path: Path) -> Path:
    """A log of the test's own, to damage."""
    return Path(shutil.copy(db, tmp_path / "own.db"))


# The file


@pytest.mark.parametrize("command", ALL)
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, command: str) -> None:
    assert_refused(call(command, "--db", tmp_path / "nope.db"), 3)
    assert_refused(call(command, "--db", tmp_path), 3)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ALL)
def test_a_file_name_that_no_disk_takes(tmp_path: Path, command: str) -> None:
    assert_refused(call(command, "--db", tmp_path / ("x" * 300)), 4)


@pytest.mark.parametrize("kind", ["text", "empty", "other database", "newer format"])
@pytest.mark.parametrize("command", ALL)
def test_a_file_that_is_no_log_is_left_alone(own: Path, kind: str, command: str) -> None:
    spoil(own, kind)
    before = bytes_of(own)

    assert_refused(call(command, "--db", own), 4)

    assert bytes_of(own) == before


def spoil(path: Path, kind: str) -> None:
    match kind:
        case "text":
            path.write_text("date,merchant,amount\n" * 500)
        case "empty":
            path.write_bytes(b"")
        case "newer format":
            with raw(path) as connection:
                connection.execute("pragma user_version = 99")
        case "other database":
            path.unlink()
            with sqlite3.connect(path) as other:
                other.execute("create table changeset (position)")
            other.close()


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("place", ["name", "schema", "pages", "content", "keys", "digests"])
def test_a_damaged_log_is_found_or_read_but_never_fatal(own: Path, place: str, command: str) -> None:
    damage(own, place)
    before = bytes_of(own)

    called = call(command, "--db", own)

    assert called.code in ((1, 4) if command == "verify" else (0, 1, 4)), called
    if called.code == 4:
        assert_refused(called, 4)
    if command in READING:
        assert bytes_of(own) == before


def damage(path: Path, place: str) -> None:
    """Change bytes of a closed log."""
    data = bytearray(path.read_bytes())
    with raw(path) as connection:
        digests = [row[0] for row in connection.execute("select digest from changeset")]
        (page,) = connection.execute("pragma page_size").fetchone()
    match place:
        case "name":
            data[:6] = b"SQLITE"
        case "schema":
            data[100:110] = bytes(10)
        case "pages":
            for start_of_page in range(page, len(data), page):
                data[start_of_page] ^= 0xFF
        case "content":
            data[:] = data.replace(b'{"actions":', b'{"actions";')
        case "keys":
            for key in (b"at", b"operations", b"op", b"path", b"reducer"):
                data[:] = data.replace(b'"%s":' % key, b'"%s":' % key.swapcase())
        case "digests":
            # A long row lies in several pages: there a digest may be in two parts, and is left as it is.
            for digest in digests:
                data[:] = data.replace(digest, bytes(len(digest)))
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_a_log_with_any_byte_changed_is_found_or_read_but_never_fatal(own: Path, seed: int) -> None:
    data = bytearray(own.read_bytes())
    written = [index for index, byte in enumerate(data) if byte]
    data[random.Random(seed).choice(written)] ^= 1 << seed % 8
    own.write_bytes(data)

    for command in ("threads", "runs", "log", "verify", "replay", "stats"):
        assert call(command, "--db", own).code in (0, 1, 4)


# What is asked for


@pytest.mark.parametrize("command", NO_THREAD)
def test_a_thread_that_is_not_there(db: Path, command: str) -> None:
    assert_refused(call(command, "--db", db), 3)


@pytest.mark.parametrize("command", NO_THREAD)
def test_a_thread_whose_name_is_no_text(db: Path, command: str) -> None:
    stray = os.fsdecode(b"\xff")

    assert_refused(call(command.replace("nope", stray), "--db", db), 3)


@pytest.mark.parametrize("command", NO_VERSION)
def test_a_version_that_is_not_there(db: Path, command: str) -> None:
    assert_refused(call(command, "--db", db), 3)


def test_a_negative_version_as_an_argument(db: Path) -> None:
    assert_refused(call("diff --db", db, "--", "trip", "-1"), 3)


def test_a_pointer_to_nothing(db: Path) -> None:
    assert_refused(call("state trip /budget/nope", "--db", db), 3)


@pytest.mark.parametrize("command", ALL)
def test_a_log_must_be_named(command: str) -> None:
    assert_refused(call(command), 2)


@pytest.mark.parametrize("command", ALL)
def test_an_option_that_is_not_there(db: Path, command: str) -> None:
    assert_refused(call(f"{command} --nope", "--db", db), 2)


@pytest.mark.parametrize("command", NO_SUCH_USE)
def test_wrong_usage(db: Path, command: str) -> None:
    assert_refused(call(command, *(() if command.startswith(("demo", "nope")) else ("--db", db))), 2)


def test_without_a_command_the_help_is_shown() -> None:
    called = call("")

    assert called.code == 2
    assert "Commands:" in called.err


# Files beside the log


@pytest.mark.parametrize(
    "text",
    [
        "def (",
        "raise ValueError('no luck')",
        "import nowhere",
        "raise SystemExit(7)",
        "from planner import *\nagain = reducer('/again', name='budget')(budget.function)",
    ],
)
def test_a_file_of_agents_that_cannot_be_run(db: Path, tmp_path: Path, text: str) -> None:
    agents = tmp_path / "agents.py"
    agents.write_text(text)

    assert_refused(call("replay --level reducers --agents", agents, "--db", db), 2)


@pytest.mark.parametrize("name", ["nope.py", "agents.txt", ""])
def test_a_file_of_agents_that_is_none(db: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "agents.txt").write_text("x = 1")

    assert_refused(call("replay --level reducers --agents", tmp_path / name, "--db", db), 2)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"position": "x"}', "\xff"])
def test_a_file_that_holds_no_heads(db: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "heads.json").write_text(text, "latin-1")

    assert_refused(call("verify --heads", tmp_path / "heads.json", "--db", db), 2)


def test_a_file_of_heads_that_is_not_there(db: Path, tmp_path: Path) -> None:
    assert_refused(call("verify --heads", tmp_path / "nope.json", "--db", db), 3)
    assert_refused(call("verify --heads", tmp_path, "--db", db), 2)


def test_heads_are_not_saved_where_they_cannot_be(db: Path, tmp_path: Path) -> None:
    assert_refused(call("verify --save-heads", tmp_path / "no" / "heads.json", "--db", db), 2)


def test_heads_are_not_saved_over_the_log(own: Path) -> None:
    before = bytes_of(own)

    assert_refused(call("verify --save-heads", own, "--db", own), 2)

    assert bytes_of(own) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column date, merchant, amount"),
        ("date,merchant\n2026-10-01,Bus\n", "no column amount"),
        ("date,merchant,amount\n2026-10-01,Bus,much\n", "line 2"),
        ("date,merchant,amount\n2026-10-01,Bus,1\n2026-10-01,Bus,inf\n", "line 3"),
        ("date,merchant,amount\n2026-10-01,Bus,0.005\n", "line 2"),
        ("date,merchant,amount\nyesterday,Bus,1\n", "line 2"),
        ("date,merchant,amount\n2026-10-01\n", "line 2"),
        ("date,merchant,amount\n2026-10-01,\xff,1\n", "utf-8"),
    ],
)
def test_expenses_that_cannot_be_read_are_refused_before_anything_is_made(
    tmp_path: Path, text: str, said: str
) -> None:
    source, folder = tmp_path / "own.csv", tmp_path / "demo"
    source.write_text(text, "latin-1")

    called = call("demo --input", source, "--folder", folder)

    assert_refused(called, 2)
    assert said in called.err
    assert not folder.exists()


def test_a_demo_whose_agent_cannot_go_on_ends_with_an_error(tmp_path: Path) -> None:
    source = tmp_path / "own.csv"
    source.write_text(f"date,merchant,amount\n2026-10-01,Bus,{10**20}\n")

    called = call("demo --json --input", source, "--folder", tmp_path / "demo")

    assert called.code == 1
    assert "the bookkeeper cannot go on" in called.json()["expenses"]["termination"]["detail"]


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_demo_into_a_folder_that_cannot_be_made(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("mine")

    assert_refused(call("demo --folder", f"{tmp_path}/{folder}"), 2)

    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["demo.db", "report.md", "expenses.csv"])
def test_a_demo_writes_over_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    assert_refused(call("demo --folder", tmp_path), 2)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "mine")]


# What may not be written

UNPRIVILEGED = """
import json, os, sys
from calls import ALL, call
path, readable = sys.argv[1:]
# Afterwards this process may not even import.
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
    """Every command, by a process that may write neither the log nor into its folder."""
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, path, readable],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {command: Called(*called) for command, called in json.loads(done.stdout).items()}


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_where_nothing_may_be_written_a_log_is_read_and_not_rebuilt(
    db: Path, own: Path, public: Path
) -> None:
    path = Path(shutil.copy(db, public))
    path.chmod(0o444)
    public.chmod(0o555)

    called = unprivileged(path, own)

    assert_refused(called.pop("rebuild"), 4)
    assert {command: (code, err) for command, (code, _, err) in called.items()} == dict.fromkeys(
        READING, (0, "")
    )
    assert {file.name: file.read_bytes() for file in public.iterdir()} == {path.name: db.read_bytes()}


def test_where_nothing_may_be_written_the_write_ahead_log_is_read_too(own: Path, public: Path) -> None:
    with Log.open(own) as log:
        log.append(setting("/late", 1, thread_id="trip"), 8)
        for file in own.parent.glob("own.db*"):
            Path(shutil.copy(file, public)).chmod(0o444)
    (public / "own.db-shm").unlink()
    public.chmod(0o555)

    called = unprivileged(public / "own.db", own)

    assert '"late": 1' in called["state trip"].out
    assert {command: called[command].code for command in READING} == dict.fromkeys(READING, 0)
    assert "this is a copy made now" in called["threads"].err


@pytest.mark.parametrize("hidden", ["file", "folder"])
def test_what_may_not_be_read(db: Path, own: Path, public: Path, hidden: str) -> None:
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
    """The command, on a disk that takes no larger file."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, (size, *arguments))],
        capture_output=True,
        text=True,
        check=False,
    )
    return Called(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("size", [0, 5_000, 60_000, 150_000])
def test_a_demo_on_a_full_disk(tmp_path: Path, size: int) -> None:
    assert_refused(limited(size, "demo", "--folder", tmp_path / "demo"), 4)


def test_a_rebuild_on_a_full_disk_leaves_the_log_as_it_was(own: Path) -> None:
    assert_refused(limited(own.stat().st_size // 2, "rebuild", "--db", own), 4)

    assert call("verify", "--db", own).code == 0


# Where the output goes


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose history is longer than a pipe holds."""
    path = tmp_path_factory.mktemp("long") / "long.db"
    with Log.open(path, durability="normal") as log:
        log.append([setting(f"/{n}", n, id=f"c{n}", thread_id="trip") for n in range(2_000)], 0)
    return path


@pytest.mark.parametrize("command", ["log", "log --json", "state trip"])
def test_a_reader_who_has_seen_enough_is_no_error(long: Path, command: str) -> None:
    with start(command, "--db", long) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()

        assert (process.wait(30), process.stderr.read()) == (0, "")


@pytest.mark.parametrize("command", ["stats", "stats --json"])
def test_an_output_that_cannot_be_written(db: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *command.split(), "--db", db],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert_refused(Called(done.returncode, "", done.stderr), 4)


def test_no_output_at_all(db: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM]

    assert subprocess.run([*closed, "stats", "--db", db], check=True).returncode == 0


def test_a_terminal_that_lacks_characters_shows_their_escapes(db: Path) -> None:
    assert run("verify", "--db", db, PYTHONIOENCODING="ascii").out.startswith("\\u2713 verified")


# Ctrl-C


def test_ctrl_c_ends_a_command(db: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    os.mkfifo(heads)
    process = start("verify --heads", heads, "--db", db)

    # Opening waits until the command has opened it, too: then it is in the middle of its work.
    with heads.open("w"):
        process.send_signal(signal.SIGINT)
        called = ended(process)

    assert (called.code, called.out, called.err.strip()) == (130, "", "")


def test_ctrl_c_ends_a_run_and_the_log_says_so(tmp_path: Path) -> None:
    source, folder = tmp_path / "expenses.csv", tmp_path / "demo"
    os.mkfifo(source)
    process = start("demo --input", source, "--folder", folder)
    source.write_text(SAMPLE)
    assert process.stdout
    assert any("read_expenses" in line for line in process.stdout)

    with source.open("w") as file:
        process.send_signal(signal.SIGINT)
        file.write(SAMPLE)
    called = ended(process)

    assert (called.code, called.err.strip()) == (130, "")
    (cancelled,) = call("runs --json", "--db", folder / "demo.db").json()
    assert cancelled["termination"]["type"] == "cancelled"
