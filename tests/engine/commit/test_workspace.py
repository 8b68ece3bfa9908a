from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.action_strategies import any_actions
from support.checks import assert_sound
from support.effects import CountingEffects
from support.log_reads import read_history
from support.reducers import REDUCERS
from threadlog.engine.commit import MemoryJournal, RunIdentity, Workspace
from threadlog.reducers import Increment, Reducers, Set, Thread
from threadlog.store import Appender, Log, Message
from threadlog.store.document import depth, dumps, same
from threadlog.store.errors import ActionError, ContentError
from threadlog.store.patch import apply

pytestmark = pytest.mark.anyio


@pytest.fixture
async def work(log: Log) -> AsyncIterator[Workspace]:
    async with Appender(log) as queue:
        yield Workspace(queue, CountingEffects(), Reducers(), RunIdentity("r1", "t1", 1), Thread())


def message(id: str, content: str = "") -> Message:
    return Message(id=id, role="user", content=content)


def fail_after(work: Workspace) -> None:
    with work.undo_on_error():
        work.act([Set("/b", 1)], source="test")
        work.add_message(message("m2"))
        raise KeyError


async def test_a_failed_attempt_is_undone(work: Workspace, path: Path) -> None:
    work.act([Set("/a", 1)], source="test")
    work.add_message(message("m1"))

    with pytest.raises(KeyError):
        fail_after(work)
    await work.commit("edited").result()

    (changeset,) = read_history(path)
    assert (work.state, [one.id for one in work.messages]) == ({"a": 1}, ["m1"])
    assert (len(changeset.actions), [one.id for one in changeset.messages]) == (1, ["m1"])
    assert_sound(path)


async def test_actions_apply_all_or_none(work: Workspace) -> None:
    with pytest.raises(ActionError):
        work.act([Set("/a", 1), Increment("/b")], source="test")

    assert work.state == {}


async def test_content_that_cannot_be_stored_waits_until_it_is_discarded(work: Workspace, path: Path) -> None:
    await work.commit("edited").result()
    work.add_message(message("m1", "\ud800"))
    work.act([Set("/a", 1)], source="test")

    for _ in range(2):
        with pytest.raises(ContentError, match="surrogate"):
            work.commit("edited")
    work.discard()
    await work.commit("edited").result()

    assert (work.version, work.state, work.messages) == (2, {}, [])
    assert [len(one.actions) for one in read_history(path)] == [0, 0]


async def test_commits_are_written_in_order(work: Workspace, path: Path) -> None:
    work.act([Set("/n", 0)], source="test")
    pending = [work.commit("edited")]
    for _ in range(20):
        work.act([Increment("/n")], source="test")
        pending.append(work.commit("edited"))

    assert [(await one.result()).version for one in pending] == list(range(1, 22))
    assert work.state == {"n": 20}
    assert_sound(path)


async def test_ids_count_up_within_an_epoch(work: Workspace) -> None:
    assert [work.new_id(), work.new_id()] == ["r1:1:1", "r1:1:2"]


@given(st.data())
def test_the_carried_state_is_the_fold_of_the_patches(data: st.DataObject) -> None:
    """Carried state == fold of the patches, within its bounds: the writer need not fold again."""
    journal = MemoryJournal()
    work = Workspace(journal, CountingEffects(), Reducers(REDUCERS), RunIdentity("r1", "t1", 1), Thread())
    document: Any = {}
    for _ in range(data.draw(st.integers(1, 4))):
        with suppress(ActionError):
            work.act(data.draw(st.lists(any_actions(work.state), max_size=3)), source="test")
        work.commit("edited")
        written = journal.encoded[-1]
        for patch in written.changeset.patches:
            document = apply(document, patch.operations)

        assert written.state
        assert same(written.state.document, document)
        assert written.state.size >= len(dumps(document))
        assert written.state.depth >= depth(document)
