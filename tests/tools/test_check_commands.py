"""verify, replay, rebuild and stats."""

from pathlib import Path

from support import trip_agents
from support.command import call, row_of
from support.log_files import DERIVED_TABLES, open_sqlite, open_without_triggers, read_tables
from support.logs import append_all
from threadlog.store import Log

AGENTS = Path(trip_agents.__file__)


def test_verify_reports_what_it_checked(db: Path) -> None:
    with Log.open(db, readonly=True) as log:
        heads = log.heads()

    assert call("verify --json", "--db", db).json() == {"findings": [], "heads": heads.model_dump()}
    assert "✓ verified  10 changesets on 2 threads" in call("verify", "--db", db).out


def test_verify_names_the_altered_changeset(own: Path) -> None:
    with open_without_triggers(own) as connection:
        connection.execute("update changeset set digest = zeroblob(32) where position = 9")

    found = call("verify --json", "--db", own)

    assert found.code == 1
    assert {(finding["thread"], finding["version"]) for finding in found.json()["findings"]} >= {("talk", 1)}
    assert "thread 'talk', version 1" in call("verify", "--db", own).out


def test_saved_heads_reveal_entries_missing_at_the_end(db: Path, tmp_path: Path) -> None:
    heads, cut = tmp_path / "heads.json", tmp_path / "cut.db"
    call("verify --save-heads", heads, "--db", db)
    with Log.open(db, readonly=True) as log, Log.open(cut) as shorter:
        append_all(shorter, [entry.changeset for entry in log.entries()][:-1])

    assert call("verify", "--db", cut).code == 0
    assert call("verify --heads", heads, "--db", db).code == 0
    found = call("verify --json --heads", heads, "--db", cut)
    assert (found.code, {finding["kind"] for finding in found.json()["findings"]}) == (1, {"head"})


def test_heads_are_not_saved_when_there_are_findings(own: Path, tmp_path: Path) -> None:
    with open_without_triggers(own) as connection:
        connection.execute("update changeset set digest = zeroblob(32) where position = 9")

    assert call("verify --save-heads", tmp_path / "heads.json", "--db", own).code == 1
    assert not (tmp_path / "heads.json").exists()


def test_replay_checks_every_thread_from_its_first_version(db: Path) -> None:
    replayed = call("replay --json", "--db", db).json()

    assert [(row["thread_id"], row["version"], row["problems"]) for row in replayed] == [
        ("trip", 8, []),
        ("talk", 2, []),
    ]
    assert "✓ trip  8 versions" in call("replay", "--db", db).out


def test_replay_of_one_thread(db: Path) -> None:
    assert [row["thread_id"] for row in call("replay talk --json", "--db", db).json()] == ["talk"]


def test_replay_finds_a_snapshot_that_does_not_match_the_patches(own: Path) -> None:
    with open_sqlite(own) as connection:
        connection.execute("insert into snapshot values (1, 8, ?)", (b"{}",))

    assert call("replay", "--db", own).code == 1
    assert "threadlog rebuild" in call("replay", "--db", own).out


def test_replay_reduces_the_actions_again_with_the_reducers_of_a_file(db: Path) -> None:
    replayed = call("replay --level reducers --json --agents", AGENTS, "--db", db)

    assert replayed.code == 0
    assert [row["problems"] for row in replayed.json()] == [[], []]


def test_replay_names_the_first_difference_of_a_changed_reducer(db: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.py"
    changed.write_text(AGENTS.read_text().replace("+ action.amount", "+ 2 * action.amount"))

    replayed = call("replay trip --level reducers --agents", changed, "--db", db)

    assert replayed.code == 1
    for text in ("thread 'trip', version 3", "'/budget", "gives", "240", "the log has", "120"):
        assert text in replayed.out


def test_replay_reports_what_it_could_not_check(db: Path) -> None:
    replayed = call("replay --level reducers --json", "--db", db)

    assert replayed.code == 1
    assert replayed.json()[0]["problems"] == [
        f"thread 'trip', version {version}: the reducer 'budget' is not here" for version in (3, 5)
    ]


def test_rebuild_restores_lost_rows(own: Path) -> None:
    before = read_tables(own)
    with open_sqlite(own) as connection:
        for table in DERIVED_TABLES:
            connection.execute(f"delete from {table}")
    assert call("verify", "--db", own).code == 1

    assert call("rebuild", "--db", own).code == 0

    assert call("verify", "--db", own).code == 0
    assert read_tables(own) == before


def test_rebuild_restores_a_missing_table(own: Path) -> None:
    with open_sqlite(own) as connection:
        connection.execute("drop table message")

    assert call("rebuild --json", "--db", own).json() == {"position": 10}
    assert call("threads --json", "--db", own).json()[0]["messages"] == 7


def test_stats_counts_threads_runs_calls_and_tokens(db: Path) -> None:
    figures = call("stats --json", "--db", db).json()

    assert (figures["changesets"], figures["threads"], figures["runs"], figures["messages"]) == (10, 2, 2, 8)
    assert (figures["changesets tool_results"], figures["input tokens"]) == (3, 30)
    assert row_of("output tokens", call("stats", "--db", db).out)[1] == "4"
    assert (figures["model calls"], figures["tool calls"], figures["tool calls failed"]) == (4, 3, 0)
