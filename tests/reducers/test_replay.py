from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.logs import append_all, by_thread, changeset, fresh_log, patch_changeset, value_changeset
from support.strategies import histories
from threadlog.reducers import Thread, replay
from threadlog.store import Changeset, Log, Message, ThreadMetadata
from threadlog.store.changeset import RunStatus
from threadlog.store.document import same
from threadlog.store.errors import CorruptLog, PatchError
from threadlog.store.state import SNAPSHOT_EVERY


def said(*ids: str, text: str = "") -> tuple[Message, ...]:
    return tuple(Message(id=id, role="user", content=text) for id in ids)


def versions(*numbers: int) -> list[Changeset]:
    return [changeset(f"c{number}").model_copy(update={"version": number}) for number in numbers]


@given(histories(longest=12), st.data())
def test_a_history_may_be_replayed_in_two_parts(history: list[Changeset], data: st.DataObject) -> None:
    """replay(h) == replay(h[n:], base=replay(h[:n])), and the base is left alone"""
    for part in by_thread(history).values():
        n = data.draw(st.integers(0, len(part)))
        base = replay(part[:n])
        before = deepcopy(base)

        assert same_thread(replay(part[n:], base=base), replay(part))
        assert same_thread(base, before)


def same_thread(a: Thread, b: Thread) -> bool:
    """Equal, the states as JSON."""
    return same(a.state, b.state) and a == b and list(a.runs) == list(b.runs)


def test_nothing_replays_to_an_empty_thread() -> None:
    assert replay([]) == Thread(version=0, state={}, messages=(), runs={}, metadata=ThreadMetadata())


def test_a_message_whose_id_came_before_is_skipped() -> None:
    history = [
        changeset("c1", version=1, messages=(*said("a", text="first"), *said("b", "b"))),
        changeset("c2", version=2, messages=(*said("a", text="second"), *said("c"))),
    ]

    thread = replay(history)

    assert [(message.id, message.content) for message in thread.messages] == [
        ("a", "first"),
        ("b", ""),
        ("c", ""),
    ]
    assert replay(history[1:], base=replay(history[:1])) == thread


@pytest.mark.parametrize("numbers", [[2], [1, 1], [1, 3], [1, 2, 1], [0]])
def test_a_version_that_is_missing_or_repeated_is_found(numbers: list[int]) -> None:
    with pytest.raises(CorruptLog, match=f"version {numbers[-1]} of 't1' follows"):
        replay(versions(*numbers))


def test_a_base_is_continued_at_the_next_version_only() -> None:
    base = replay(versions(1, 2))

    assert replay(versions(3), base=base).version == 3
    with pytest.raises(CorruptLog):
        replay(versions(4), base=base)


def test_metadata_is_merged_field_by_field() -> None:
    history = [
        changeset("c1", version=1, thread=ThreadMetadata(owner="me", labels={"a": "1"})),
        changeset("c2", version=2, thread=ThreadMetadata(parent="t0", labels={"b": "2"})),
        changeset("c3", version=3, thread=ThreadMetadata(labels={"a": None, "c": "3"})),
    ]

    merged = ThreadMetadata(parent="t0", owner="me", labels={"b": "2", "c": "3"})
    assert replay(history).metadata == merged


def test_every_run_stands_where_it_was_last_seen_in_the_order_of_their_beginnings() -> None:
    facts = [("r2", "running"), ("r1", "running"), ("r2", "done"), (None, "running")]
    history = [
        changeset(f"c{n}", version=n, run_id=run, run={"status": status})
        for n, (run, status) in enumerate(facts, 1)
    ]

    assert list(replay(history).runs.items()) == [
        ("r2", RunStatus(status="done")),
        ("r1", RunStatus(status="running")),
    ]


def test_a_patch_that_does_not_apply_is_an_error() -> None:
    history = [patch_changeset({"op": "remove", "path": "/a"}).model_copy(update={"version": 1})]

    with pytest.raises(PatchError, match="there is no 'a'"):
        replay(history)


def test_a_thread_of_another_version_is_a_value_of_its_own() -> None:
    history = [
        value_changeset("/list", [1]).model_copy(update={"version": 1}),
        patch_changeset({"op": "add", "path": "/list/-", "value": 2}, id="c2").model_copy(
            update={"version": 2}
        ),
    ]
    first = replay(history[:1])

    second = replay(history[1:], base=first)

    assert (first.state, second.state) == ({"list": [1]}, {"list": [1, 2]})


def counted(log: Log, versions: int) -> None:
    """A thread whose state is its version, a list of them, and the last of them by hundreds."""
    step: dict[str, Any] = {"op": "add", "path": "/list/-"}
    changesets = [value_changeset("/list", [1])]
    for n in range(2, versions + 1):
        changesets.append(
            patch_changeset({**step, "value": n}, {"op": "add", "path": "/n", "value": n}, id=f"c{n}")
        )
    log.append(changesets, 0)


def test_a_replayed_state_is_the_state_of_the_log_at_every_version(log: Log) -> None:
    """replay(h[:v]).state == log.state(v), on both sides of snapshots"""
    end = 2 * SNAPSHOT_EVERY + 5
    counted(log, end)
    history = list(log.read("t1"))

    thread = Thread()
    for version in range(1, end + 1):
        thread = replay([history[version - 1]], base=thread)
        assert thread.version == version
        assert same(thread.state, log.state("t1", version))
    assert thread == replay(history)


@given(histories())
def test_a_replayed_state_is_the_state_of_the_log(history: list[Changeset]) -> None:
    """replay(h).state == log.state, for every thread of any history"""
    with fresh_log() as log:
        append_all(log, history)

        for thread, part in by_thread(history).items():
            assert same(replay(log.read(thread)).state, log.state(thread))
            assert replay(part) == replay(log.read(thread))
