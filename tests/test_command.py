import json
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import planner
import pytest
from calls import READING, bytes_of, call
from examples import DERIVED_TABLES, append_all, dump, raw, tampering
from hypothesis import given
from strategies import json as documents

from threadlog.store import Changeset, Log, Message, ThreadFacts, TrackedPatch
from threadlog.store.changeset import AgentFacts, RunFacts, Termination
from threadlog.store.document import same
from threadlog.store.patch import apply
from threadlog.tools.look.browse import print_diff, readable_diff

AGENTS = Path(planner.__file__)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that runs of an agent have left. Tests only read it."""
    path = tmp_path_factory.mktemp("command") / "trips.db"
    planner.make_log(path)
    return path


@pytest.fixture
def own(db: Path, tmp_path: Path) -> Path:
    """A log of the test's own, to change."""
    return Path(shutil.copy(db, tmp_path / "own.db"))


# Every command


@pytest.mark.parametrize("command", READING)
def test_a_reading_command_changes_nothing(db: Path, command: str) -> None:
    before = bytes_of(db)

    called = call(command, "--db", db)

    assert (called.code, called.err) == (0, "")
    assert bytes_of(db) == before


@pytest.mark.parametrize("command", READING)
def test_json_may_be_asked_for_before_and_after_the_command(db: Path, command: str) -> None:
    called = call(f"{command} --json", "--db", db)

    assert [json.loads(text) for text in values(called.out)]
    assert call(f"--json {command}", "--db", db) == called


def values(out: str) -> list[str]:
    """The JSON values of an output: one on each line, or one over all lines."""
    return [out] if out.startswith(("{\n", "[\n")) else out.splitlines()


@pytest.mark.parametrize("command", READING)
def test_the_log_may_be_named_by_the_environment(db: Path, command: str) -> None:
    assert call(command, THREADLOG_DB=str(db)) == call(command, "--db", db)


@pytest.mark.parametrize("command", READING)
def test_a_log_is_read_while_another_process_has_it_open_for_writing(held: Path, command: str) -> None:
    called = call(command, "--db", held)

    assert (called.code, called.err) == (0, "")


def test_what_another_process_has_just_appended_is_seen(held: Path) -> None:
    threads = call("threads --json", "--db", held).json()

    assert [row["thread_id"] for row in threads] == ["trip", "talk", "new"]


HOLD = """
import sys
from threadlog.store import Changeset, Log
with Log.open(sys.argv[1]) as log:
    log.append(Changeset(id="held", thread_id="new", reason="edited", at=0), 0)
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def held(db: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log to which another process has appended, and which it still has open."""
    path = Path(shutil.copy(db, tmp_path_factory.mktemp("held") / "held.db"))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        yield path


# Looking


def test_threads_tells_where_each_thread_stands(db: Path) -> None:
    trip, talk = call("threads --json", "--db", db).json()

    assert (trip["thread_id"], trip["version"], trip["messages"]) == ("trip", 8, 7)
    assert (talk["parent"], talk["owner"], talk["labels"]) == ("trip", "ann", {"mood": "good"})


def test_threads_shows_a_person_all_of_it(db: Path) -> None:
    shown = call("threads", "--db", db).out

    assert "2 threads" in shown
    assert row_of("talk", shown)[1:3] == ["2", "1"]
    assert row_of("talk", shown)[4:] == ["trip", "ann", "mood=good"]


def row_of(first: str, table: str) -> list[str]:
    """The cells of the row that begins with a text."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines()]
    return next(row for row in rows if row[0] == first)


def test_runs_tells_how_each_run_ended(db: Path) -> None:
    trip, talk = call("runs --json", "--db", db).json()

    assert (trip["agent"], trip["status"], trip["termination"]) == (
        "planner",
        "done",
        {"type": "natural_end"},
    )
    assert (trip["input_tokens"], trip["output_tokens"]) == (30, 4)
    assert talk["termination"] == {
        "type": "error",
        "detail": "model='scripted' attempt=1/2: unknown: no luck",
    }


def test_runs_shows_a_person_all_of_it(db: Path) -> None:
    run_id = call("runs --json", "--db", db).json()[1]["run_id"]

    row = row_of(run_id, call("runs", "--db", db).out)

    assert row[1:7] == [
        "talk",
        "talker",
        "done",
        "error: model='scripted' attempt=1/2: unknown: no luck",
        "0",
        "0",
    ]


def test_in_a_narrow_terminal_nothing_is_cut_off(db: Path) -> None:
    run_id = call("runs --json", "--db", db).json()[1]["run_id"]
    lines = call("runs", "--db", db, width=80).out.splitlines()

    folded = "".join(line.strip("│").split("│")[0].strip() for line in lines)

    assert run_id in folded


def test_runs_of_one_thread(db: Path) -> None:
    assert [row["thread_id"] for row in call("runs --thread talk --json", "--db", db).json()] == ["talk"]


def test_show_gives_the_thread_at_a_version(db: Path) -> None:
    shown = call("show trip --at 3 --json", "--db", db).json()

    assert shown["version"] == 3
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant", "tool"]
    assert shown["state"]["budget"] == {"spent": 120}
    assert [run["status"] for run in shown["runs"].values()] == ["running"]


def test_show_shows_conversation_calls_run_and_state(db: Path) -> None:
    shown = call("show trip", "--db", db).out

    for text in (
        "Two nights, please.",
        '→ book({"city": "Kyoto", "price": 120})',
        "natural_end",
        '"spent": 200',
    ):
        assert text in shown


def test_log_shows_what_was_said_called_and_changed(db: Path) -> None:
    shown = call("log trip", "--db", db).out

    for text in ("user: Two nights, please.", "→ forget({})", "replace /budget/spent = 200", "natural_end"):
        assert text in shown


def test_log_shows_every_thread_by_its_name(db: Path) -> None:
    rows = [line.split() for line in call("log", "--db", db).out.splitlines()]

    assert [row[:2] for row in rows if row[:1] == ["talk"]] == [["talk", "1"], ["talk", "2"]]


def test_log_of_a_thread_may_be_cut_at_both_ends(db: Path) -> None:
    lines = call("log trip --after 3 --until 5 --json", "--db", db).out.splitlines()

    assert [json.loads(line)["version"] for line in lines] == [4, 5]


def test_log_goes_on_behind_a_position(db: Path) -> None:
    lines = call("log --after 8 --json", "--db", db).out.splitlines()

    assert [json.loads(line)["thread_id"] for line in lines] == ["talk", "talk"]


@pytest.mark.parametrize("thread", ["trip", ""])
def test_log_as_json_is_one_changeset_a_line(db: Path, thread: str) -> None:
    lines = call(f"log {thread} --json", "--db", db).out.splitlines()

    with Log.open(db, readonly=True) as log:
        logged = list(log.read(thread)) if thread else [entry.changeset for entry in log.entries()]
    assert [Changeset.model_validate_json(line) for line in lines] == logged


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("state trip /budget", {"spent": 200}),
        ("state trip /budget --at 3", {"spent": 120}),
        ("state trip /cities/1", "Nara"),
        ("state trip --at 0", {}),
    ],
)
def test_state_gives_the_value_at_a_pointer_and_a_version(db: Path, command: str, value: Any) -> None:
    assert call(f"{command} --json", "--db", db).json() == value
    assert json.loads(call(command, "--db", db).out) == value


def test_state_without_a_pointer_is_the_whole_document(db: Path) -> None:
    with Log.open(db, readonly=True) as log:
        assert call("state trip --json", "--db", db).json() == log.state("trip")


# Differences


def test_diff_as_json_is_a_patch_that_leads_from_one_version_to_the_other(db: Path) -> None:
    patch = call("diff trip 3 6 --json", "--db", db).json()

    with Log.open(db, readonly=True) as log:
        assert apply(log.state("trip", 3), patch) == log.state("trip", 6)


def test_diff_shows_each_change_with_the_value_before_and_after(db: Path) -> None:
    lines = call("diff trip 3 6", "--db", db).out.splitlines()

    assert {"~ /budget/spent  120 → 200", '+ /cities/1  "Nara"', '- /last  "Kyoto"'} <= set(lines)


def test_diff_goes_to_the_last_version_if_none_is_given(db: Path) -> None:
    assert call("diff trip 3", "--db", db) == call("diff trip 3 8", "--db", db)


def test_diff_says_that_there_is_none(db: Path) -> None:
    assert call("diff trip 3 3", "--db", db).out == "no difference\n"


@given(documents, documents)
def test_any_two_documents_have_a_difference_that_can_be_shown(old: Any, new: Any) -> None:
    """apply(a, readable_diff(a, b)) == b, and every line of it shows"""
    operations = readable_diff(old, new)

    assert same(apply(old, operations), new)
    print_diff(old, operations)


# Checking


def test_verify_says_that_all_is_well_and_what_was_looked_at(db: Path) -> None:
    with Log.open(db, readonly=True) as log:
        heads = log.heads()

    assert call("verify --json", "--db", db).json() == {"findings": [], "heads": heads.model_dump()}
    assert "✓ verified  10 changesets on 2 threads" in call("verify", "--db", db).out


def test_verify_names_what_was_changed(own: Path) -> None:
    with tampering(own) as connection:
        connection.execute("update changeset set digest = zeroblob(32) where position = 9")

    found = call("verify --json", "--db", own)

    assert found.code == 1
    assert {(finding["thread"], finding["version"]) for finding in found.json()["findings"]} >= {("talk", 1)}
    assert "thread 'talk', version 1" in call("verify", "--db", own).out


def test_saved_heads_find_a_log_that_was_cut_off(db: Path, tmp_path: Path) -> None:
    heads, cut = tmp_path / "heads.json", tmp_path / "cut.db"
    call("verify --save-heads", heads, "--db", db)
    with Log.open(db, readonly=True) as log, Log.open(cut) as shorter:
        append_all(shorter, [entry.changeset for entry in log.entries()][:-1])

    assert call("verify", "--db", cut).code == 0
    assert call("verify --heads", heads, "--db", db).code == 0
    found = call("verify --json --heads", heads, "--db", cut)
    assert (found.code, {finding["kind"] for finding in found.json()["findings"]}) == (1, {"head"})


def test_heads_of_a_log_with_findings_are_not_saved(own: Path, tmp_path: Path) -> None:
    with tampering(own) as connection:
        connection.execute("update changeset set digest = zeroblob(32) where position = 9")

    assert call("verify --save-heads", tmp_path / "heads.json", "--db", own).code == 1
    assert not (tmp_path / "heads.json").exists()


def test_replay_folds_every_thread_from_its_first_version(db: Path) -> None:
    replayed = call("replay --json", "--db", db).json()

    assert [(row["thread_id"], row["version"], row["problems"]) for row in replayed] == [
        ("trip", 8, []),
        ("talk", 2, []),
    ]
    assert "✓ trip  8 versions" in call("replay", "--db", db).out


def test_replay_of_one_thread(db: Path) -> None:
    assert [row["thread_id"] for row in call("replay talk --json", "--db", db).json()] == ["talk"]


def test_replay_finds_a_snapshot_that_is_not_what_the_patches_make(own: Path) -> None:
    with raw(own) as connection:
        connection.execute("insert into snapshot values (1, 8, ?)", (b"{}",))

    assert call("replay", "--db", own).code == 1
    assert "threadlog rebuild" in call("replay", "--db", own).out


def test_replay_reduces_again_with_the_reducers_of_a_file(db: Path) -> None:
    replayed = call("replay --level reducers --json --agents", AGENTS, "--db", db)

    assert replayed.code == 0
    assert [row["problems"] for row in replayed.json()] == [[], []]


def test_replay_names_the_first_place_where_a_changed_reducer_differs(db: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.py"
    changed.write_text(AGENTS.read_text().replace("+ action.amount", "+ 2 * action.amount"))

    replayed = call("replay trip --level reducers --agents", changed, "--db", db)

    assert replayed.code == 1
    for text in ("thread 'trip', version 3", "'/budget", "gives", "240", "the log has", "120"):
        assert text in replayed.out


def test_replay_says_what_it_could_not_check(db: Path) -> None:
    replayed = call("replay --level reducers --json", "--db", db)

    assert replayed.code == 1
    assert replayed.json()[0]["problems"] == [
        f"thread 'trip', version {version}: the reducer 'budget' is not here" for version in (3, 5)
    ]


def test_rebuild_makes_again_what_was_lost(own: Path) -> None:
    before = dump(own)
    with raw(own) as connection:
        for table in DERIVED_TABLES:
            connection.execute(f"delete from {table}")
    assert call("verify", "--db", own).code == 1

    assert call("rebuild", "--db", own).code == 0

    assert call("verify", "--db", own).code == 0
    assert dump(own) == before


def test_rebuild_makes_a_missing_table_again(own: Path) -> None:
    with raw(own) as connection:
        connection.execute("drop table message")

    assert call("rebuild --json", "--db", own).json() == {"position": 10}
    assert call("threads --json", "--db", own).json()[0]["messages"] == 7


def test_stats_counts_what_is_in_the_log(db: Path) -> None:
    figures = call("stats --json", "--db", db).json()

    assert (figures["changesets"], figures["threads"], figures["runs"], figures["messages"]) == (10, 2, 2, 8)
    assert (figures["changesets tool_results"], figures["input tokens"]) == (3, 30)
    assert row_of("output tokens", call("stats", "--db", db).out)[1] == "4"
    assert (figures["model calls"], figures["tool calls"], figures["tool calls failed"]) == (4, 3, 0)


def test_stats_counts_the_bytes_that_are_not_in_the_file_yet(held: Path) -> None:
    figures = call("stats --json", "--db", held).json()

    assert figures["bytes"] == sum(map(len, bytes_of(held).values())) > held.stat().st_size


# Text from the log is data

EVIL = "\x1b[2J\x1b]0;title\x07\r\x08\x7f\x9b31m\u202e\u2028\u200b\t[red]:smile:"


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log where every text would do something to a terminal, with a file name that rich would read."""
    path = tmp_path_factory.mktemp("evil") / "[red]\x1b[31m.db"
    added: dict[str, Any] = {"op": "add", "path": f"/{EVIL}", "value": {EVIL: EVIL}}
    changeset = Changeset(
        id=EVIL,
        thread_id=EVIL,
        reason="edited",
        at=2**62,
        run_id=EVIL,
        parent_run_id=EVIL,
        messages=tuple(Message(id=f"{role}{EVIL}", role=role, content=EVIL) for role in ("user", "tool")),
        patches=(TrackedPatch(operations=(added,), source=EVIL),),
        run=RunFacts(status="done", termination=Termination(type="error", code=EVIL, detail=EVIL)),
        agent=AgentFacts(name=EVIL, fingerprint=EVIL, specification={}),
        thread=ThreadFacts(parent=EVIL, owner=EVIL, labels={EVIL: EVIL}),
    )
    with Log.open(path) as log:
        log.append(changeset, 0)
        replaced: dict[str, Any] = {"op": "replace", "path": f"/{EVIL}", "value": EVIL}
        patch = TrackedPatch(operations=(replaced,), source=EVIL)
        log.append(Changeset(id="2", thread_id=EVIL, reason="edited", at=0, patches=(patch,)), 1)
    return path


EVIL_CALLS: tuple[tuple[str, ...], ...] = (
    ("threads",),
    ("runs",),
    ("show", EVIL),
    ("log",),
    ("log", EVIL),
    ("state", EVIL),
    ("diff", EVIL, "1"),
    ("diff", EVIL, "0", "1"),
    ("replay", "--level", "reducers"),
    ("replay", "--level", "reducers", EVIL),
    ("state", EVIL, "/nowhere"),
    ("state", EVIL, EVIL),
    ("show", f"no {EVIL}"),
    ("stats",),
    ("verify",),
    ("verify", "--heads", EVIL),
    (EVIL,),
)


@pytest.mark.parametrize("arguments", EVIL_CALLS, ids=lambda arguments: arguments[0].strip(EVIL))
@pytest.mark.parametrize("form", ["--json", "text"])
def test_no_text_of_a_log_reaches_the_terminal_as_it_is(
    evil: Path, arguments: tuple[str, ...], form: str
) -> None:
    command, *rest = arguments
    db = () if command == EVIL else ("--db", evil)

    called = call("--json" if form == "--json" else "", command, *rest, *db)

    shown = called.out + called.err
    assert shown
    assert {char for char in shown if not plain(char)} == set()


def plain(char: str) -> bool:
    return char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp")


def test_findings_show_no_text_of_a_log_as_it_is(evil: Path, tmp_path: Path) -> None:
    own = Path(shutil.copy(evil, tmp_path / "own.db"))
    with tampering(own) as connection:
        connection.execute("update changeset set digest = zeroblob(32), id = id || 'x'")
        connection.execute("delete from thread_facts")

    for form in ("verify", "verify --json"):
        called = call(form, "--db", own)
        assert called.code == 1
        assert all(map(plain, called.out))


def test_markup_in_a_log_is_shown_as_it_is_written(evil: Path) -> None:
    assert "[red]:smile:" in call("show", EVIL, "--db", evil).out
    assert "[red]" in call("stats", "--db", evil).out.splitlines()[0]


def test_json_gives_back_every_character(evil: Path) -> None:
    assert call("state --json", EVIL, "--db", evil).json() == {EVIL: EVIL}
    assert call("threads --json", "--db", evil).json()[0]["owner"] == EVIL
