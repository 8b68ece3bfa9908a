"""threads, runs, show, log, state and diff."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from support.command import call, row_of
from support.strategies import json as documents
from threadlog.store import Changeset, Log
from threadlog.store.document import same
from threadlog.store.patch import apply
from threadlog.tools.look.diff import print_diff, readable_diff

# Listing


def test_threads_lists_versions_and_metadata(db: Path) -> None:
    trip, talk = call("threads --json", "--db", db).json()

    assert (trip["thread_id"], trip["version"], trip["messages"]) == ("trip", 8, 7)
    assert (talk["parent"], talk["owner"], talk["labels"]) == ("trip", "ann", {"mood": "good"})


def test_threads_prints_a_table(db: Path) -> None:
    shown = call("threads", "--db", db).out

    assert "2 threads" in shown
    assert row_of("talk", shown)[1:3] == ["2", "1"]
    assert row_of("talk", shown)[4:] == ["trip", "ann", "mood=good"]


def test_runs_lists_how_each_run_ended(db: Path) -> None:
    trip, talk = call("runs --json", "--db", db).json()

    assert (trip["agent"], trip["status"], trip["termination"]) == (
        "planner",
        "done",
        {"type": "natural_end"},
    )
    assert (trip["input_tokens"], trip["output_tokens"]) == (30, 4)
    assert talk["termination"] == {
        "type": "error",
        "detail": "model 'scripted' failed on attempt 1 of 2: unknown: no luck",
    }


def test_runs_prints_a_table(db: Path) -> None:
    run_id = call("runs --json", "--db", db).json()[1]["run_id"]

    row = row_of(run_id, call("runs", "--db", db).out)

    assert row[1:7] == [
        "talk",
        "talker",
        "done",
        "error: model 'scripted' failed on attempt 1 of 2: unknown: no luck",
        "0",
        "0",
    ]


def test_a_narrow_table_wraps_instead_of_cutting(db: Path) -> None:
    run_id = call("runs --json", "--db", db).json()[1]["run_id"]
    lines = call("runs", "--db", db, width=80).out.splitlines()

    folded = "".join(line.strip("│").split("│")[0].strip() for line in lines)

    assert run_id in folded


def test_runs_can_be_limited_to_a_thread(db: Path) -> None:
    assert [row["thread_id"] for row in call("runs --thread talk --json", "--db", db).json()] == ["talk"]


def test_show_prints_the_thread_at_a_version(db: Path) -> None:
    shown = call("show trip --at 3 --json", "--db", db).json()

    assert shown["version"] == 3
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant", "tool"]
    assert shown["state"]["budget"] == {"spent": 120}
    assert [run["status"] for run in shown["runs"].values()] == ["running"]


def test_show_prints_conversation_calls_runs_and_state(db: Path) -> None:
    shown = call("show trip", "--db", db).out

    for text in (
        "Two nights, please.",
        '→ book({"city": "Kyoto", "price": 120})',
        "natural_end",
        '"spent": 200',
    ):
        assert text in shown


def test_log_prints_messages_calls_and_changes(db: Path) -> None:
    shown = call("log trip", "--db", db).out

    for text in ("user: Two nights, please.", "→ forget({})", "replace /budget/spent = 200", "natural_end"):
        assert text in shown


def test_log_names_the_thread_of_each_changeset(db: Path) -> None:
    rows = [line.split() for line in call("log", "--db", db).out.splitlines()]

    assert [row[:2] for row in rows if row[:1] == ["talk"]] == [["talk", "1"], ["talk", "2"]]


def test_log_can_be_limited_to_a_range_of_versions(db: Path) -> None:
    lines = call("log trip --after 3 --until 5 --json", "--db", db).out.splitlines()

    assert [json.loads(line)["version"] for line in lines] == [4, 5]


def test_log_can_start_after_a_position(db: Path) -> None:
    lines = call("log --after 8 --json", "--db", db).out.splitlines()

    assert [json.loads(line)["thread_id"] for line in lines] == ["talk", "talk"]


@pytest.mark.parametrize("thread", ["trip", ""])
def test_log_as_json_has_one_changeset_per_line(db: Path, thread: str) -> None:
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
def test_state_prints_the_value_at_a_pointer_and_a_version(db: Path, command: str, value: Any) -> None:
    assert call(f"{command} --json", "--db", db).json() == value
    assert json.loads(call(command, "--db", db).out) == value


def test_state_without_a_pointer_prints_the_whole_document(db: Path) -> None:
    with Log.open(db, readonly=True) as log:
        assert call("state trip --json", "--db", db).json() == log.state("trip")


# Differences


def test_diff_as_json_is_a_patch_between_the_versions(db: Path) -> None:
    patch = call("diff trip 3 6 --json", "--db", db).json()

    with Log.open(db, readonly=True) as log:
        assert apply(log.state("trip", 3), patch) == log.state("trip", 6)


def test_diff_prints_each_change_with_both_values(db: Path) -> None:
    lines = call("diff trip 3 6", "--db", db).out.splitlines()

    assert {"~ /budget/spent  120 → 200", '+ /cities/1  "Nara"', '- /last  "Kyoto"'} <= set(lines)


def test_diff_ends_at_the_last_version_by_default(db: Path) -> None:
    assert call("diff trip 3", "--db", db) == call("diff trip 3 8", "--db", db)


def test_diff_reports_equal_versions(db: Path) -> None:
    assert call("diff trip 3 3", "--db", db).out == "no difference\n"


@given(documents, documents)
def test_the_difference_of_any_two_documents_is_correct_and_printable(old: Any, new: Any) -> None:
    operations = readable_diff(old, new)

    assert same(apply(old, operations), new)
    print_diff(old, operations)
