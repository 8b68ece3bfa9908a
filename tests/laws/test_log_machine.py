import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.log_files import read_tables
from support.strategies import fitting, threads
from threadlog.store import ANY, Changeset, Heads, Log, TrackedPatch, VersionConflict
from threadlog.store.errors import ChangesetExists, PatchError
from threadlog.store.patch import Operation, apply

which = st.integers(0, 1)
"""Which of the two logs that have the file open."""


class LogMachine(RuleBasedStateMachine):
    """The log against the simplest thing that could be a log: a list for each thread.

    Two logs have the file open, each with a writing connection of its own, as two processes would.
    Laws: versions are 1..n under any interleaving; an append never changes what an earlier read returned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "log.db"
        self.logs = [self.opened(), self.opened()]
        self.model: dict[str, list[Changeset]] = defaultdict(list)
        self.states: dict[str, list[Any]] = defaultdict(lambda: [{}])
        self.order: list[str] = []
        self.heads: list[Heads] = []

    def opened(self) -> Log:
        return Log.open(self.path, durability="normal")

    def made(self, thread: str, *patch: Operation) -> Changeset:
        id = f"c{len(self.order)}"
        patches = (TrackedPatch(operations=patch, source="test"),)
        return Changeset(id=id, thread_id=thread, reason="edited", at=len(self.order), patches=patches)

    def appended(self, *changesets: Changeset) -> None:
        for item in changesets:
            own, states = self.model[item.thread_id], self.states[item.thread_id]
            own.append(item.model_copy(update={"version": len(own) + 1}))
            states.append(apply(states[-1], item.patches[0].operations))
            self.order.append(item.id)

    @initialize()
    def begin(self) -> None:
        self.heads.append(self.logs[0].heads())

    @rule(log=which, thread=threads, data=st.data(), any=st.booleans())
    def append(self, log: int, thread: str, data: st.DataObject, any: bool) -> None:
        version = len(self.model[thread])
        item = self.made(thread, *data.draw(fitting(self.states[thread][-1])))

        assert self.logs[log].append(item, ANY if any else version) == version + 1
        self.appended(item)

    @rule(log=which, thread=threads)
    def append_two(self, log: int, thread: str) -> None:
        first = self.made(thread, {"op": "add", "path": "", "value": {"n": len(self.order)}})
        second = self.made(thread).model_copy(update={"id": f"{first.id} second"})
        version = len(self.model[thread])

        assert self.logs[log].append([first, second], version) == version + 2
        self.appended(first, second)

    @rule(log=which, thread=threads, off=st.sampled_from([-2, -1, 1, 2]))
    def append_at_another_version(self, log: int, thread: str, off: int) -> None:
        version = len(self.model[thread])
        with pytest.raises(VersionConflict) as refused:
            self.logs[log].append(self.made(thread), version + off)

        assert refused.value.actual == version
        if off < 0 <= version + off:
            assert [*refused.value.between] == self.model[thread][off:]

    @rule(log=which, thread=threads, other=threads, off=st.sampled_from([-1, 0, 1]))
    def append_behind_another_head(self, log: int, thread: str, other: str, off: int) -> None:
        item, heads = self.made(thread), {other: len(self.model[other]) + off}
        if off == 0:
            self.logs[log].append(item, ANY, heads=heads)
            self.appended(item)
        else:
            with pytest.raises(VersionConflict):
                self.logs[log].append(item, ANY, heads=heads)

    @rule(log=which, thread=threads)
    def append_what_does_not_apply(self, log: int, thread: str) -> None:
        with pytest.raises(PatchError):
            self.logs[log].append(self.made(thread, {"op": "remove", "path": "/nowhere"}), ANY)

    @rule(log=which, thread=threads, data=st.data())
    def append_again(self, log: int, thread: str, data: st.DataObject) -> None:
        if self.model[thread]:
            item = data.draw(st.sampled_from(self.model[thread]))
            assert self.logs[log].append(item, 0) == item.version
            with pytest.raises(ChangesetExists):
                self.logs[log].append(item.model_copy(update={"at": -1}), ANY)

    @rule(log=which)
    def reopen(self, log: int) -> None:
        self.logs[log].close()
        self.logs[log] = self.opened()

    @rule(log=which)
    def rebuild(self, log: int) -> None:
        before = read_tables(self.path)
        self.logs[log].rebuild()

        assert read_tables(self.path) == before

    @rule(log=which)
    def export_heads(self, log: int) -> None:
        self.heads.append(self.logs[log].heads())

    @rule(log=which, thread=threads, data=st.data())
    def look_at_an_earlier_state(self, log: int, thread: str, data: st.DataObject) -> None:
        if self.model[thread]:
            version = data.draw(st.integers(0, len(self.model[thread])))
            assert self.logs[log].state(thread, at=version) == self.states[thread][version]

    @invariant()
    def holds_what_was_appended(self) -> None:
        for log in self.logs:
            for thread, history in self.model.items():
                assert [*log.read(thread)] == history
                assert log.head(thread) == len(history)
            assert [item.id for _, item in log.entries()] == self.order
            assert {row.thread_id: row.version for row in log.threads()} == {
                thread: len(history) for thread, history in self.model.items() if history
            }

    def teardown(self) -> None:
        findings = [self.logs[0].verify(heads) for heads in self.heads]
        for log in self.logs:
            log.close()
        self.folder.cleanup()

        assert findings == [[] for _ in self.heads]


LogMachine.TestCase.settings = settings(stateful_step_count=20)
TestLogMachine = LogMachine.TestCase
