"""The bounds of a state: no append makes it too large or too deep."""

from pathlib import Path
from typing import Any

import pytest

from support.log_files import read_tables
from support.logs import patch_changeset, value_changeset
from threadlog.store import Log
from threadlog.store.document import depth
from threadlog.store.errors import ContentError


def test_a_state_that_would_be_too_large_is_refused(
    log: Log, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 1000)
    for n in range(8):
        log.append(value_changeset(f"/{n}", "x" * 100, id=f"c{n}"), n)
    before = read_tables(path)

    with pytest.raises(ContentError, match="more than the limit of 1000"):
        log.append(value_changeset("/8", "x" * 200, id="c8"), 8)

    assert read_tables(path) == before
    assert log.append(patch_changeset({"op": "remove", "path": "/0"}, id="c8"), 8) == 9
    assert log.append(value_changeset("/8", "x" * 200, id="c9"), 9) == 10


def test_a_state_can_be_rewritten_forever_within_its_bounds(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 1000)

    for n in range(20):
        log.append(value_changeset("/a", "x" * 900, id=f"c{n}"), n)

    assert log.head("t1") == 20


def test_a_state_that_would_be_too_deep_is_refused(log: Log, path: Path) -> None:
    document: Any = {}
    for _ in range(100):
        document = {"a": document}
    log.append(value_changeset("/a", document), 0)
    before = read_tables(path)

    with pytest.raises(ContentError, match="nested deeper than 128"):
        log.append(value_changeset("/a" * 100, document, id="c2"), 1)

    assert read_tables(path) == before


def test_copies_that_would_make_the_state_too_deep_are_refused(log: Log) -> None:
    deeper = [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "move", "from": "/b", "path": "/a/a"}]
    log.append(value_changeset("/a", {}), 0)
    log.append([patch_changeset(*deeper, id=f"d{n}") for n in range(126)], 1)
    assert depth(log.state("t1")) == 128

    with pytest.raises(ContentError, match="nested deeper than 128"):
        log.append(patch_changeset(*deeper, id="c2"), 127)

    assert log.head("t1") == 127


def test_copies_that_would_make_the_state_too_large_are_refused(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadlog.store.state.MAX_BYTES", 1000)
    log.append(value_changeset("/0", "x" * 400), 0)
    log.append(patch_changeset({"op": "copy", "from": "/0", "path": "/1"}, id="c2"), 1)

    with pytest.raises(ContentError, match="more than the limit of 1000"):
        log.append(patch_changeset({"op": "copy", "from": "/0", "path": "/2"}, id="c3"), 2)

    assert log.head("t1") == 2
