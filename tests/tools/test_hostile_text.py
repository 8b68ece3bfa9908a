"""Text from a log is escaped: none of it can control the terminal."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from support.command import call
from support.hostile_text import EVIL, plain
from support.log_files import open_without_triggers
from threadlog.store import Changeset, Log, Message, ThreadMetadata, TrackedPatch
from threadlog.store.changeset import AgentSnapshot, RunStatus, Termination


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which every text holds control characters, under a file name with rich markup."""
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
        run=RunStatus(status="done", termination=Termination(type="error", code=EVIL, detail=EVIL)),
        agent=AgentSnapshot(name=EVIL, fingerprint=EVIL, specification={}),
        thread=ThreadMetadata(parent=EVIL, owner=EVIL, labels={EVIL: EVIL}),
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
def test_control_characters_in_a_log_are_escaped(evil: Path, arguments: tuple[str, ...], form: str) -> None:
    command, *rest = arguments
    db = () if command == EVIL else ("--db", evil)

    called = call("--json" if form == "--json" else "", command, *rest, *db)

    shown = called.out + called.err
    assert shown
    assert {char for char in shown if not plain(char)} == set()


def test_control_characters_in_findings_are_escaped(evil: Path, tmp_path: Path) -> None:
    own = Path(shutil.copy(evil, tmp_path / "own.db"))
    with open_without_triggers(own) as connection:
        connection.execute("update changeset set digest = zeroblob(32), id = id || 'x'")
        connection.execute("delete from thread_metadata")

    for form in ("verify", "verify --json"):
        called = call(form, "--db", own)
        assert called.code == 1
        assert all(map(plain, called.out))


def test_rich_markup_in_a_log_is_printed_literally(evil: Path) -> None:
    assert "[red]:smile:" in call("show", EVIL, "--db", evil).out
    assert "[red]" in call("stats", "--db", evil).out.splitlines()[0]


def test_json_preserves_every_character(evil: Path) -> None:
    assert call("state --json", EVIL, "--db", evil).json() == {EVIL: EVIL}
    assert call("threads --json", "--db", evil).json()[0]["owner"] == EVIL
