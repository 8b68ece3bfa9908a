"""The runs of a log and whose they are: a fold of its own, which refuses what must never be there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from threadlog.reducers.sub_agent import sub_agents_in
from threadlog.store import Changeset
from threadlog.store.history import Entry
from threadlog.store.patch import Draft


@dataclass
class Node:
    """A run as far as the log was read."""

    thread: str
    parent: str | None = None
    epoch: int = 0
    status: str = "new"
    ended_by: str = ""
    is_cancelled: bool = False
    """Whether it is to be cancelled, and is not yet."""


@dataclass
class Tree:
    """Every run by its id."""

    entries: Iterable[Entry] = ()
    runs: dict[str, Node] = field(default_factory=dict)
    states: dict[str, Draft] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        changeset = entry.changeset
        draft = self.states.setdefault(changeset.thread_id, Draft({}))
        for patch in changeset.patches:
            draft.apply(patch.operations)
        if changeset.entry and changeset.run_id:
            self._wanted(changeset, changeset.run_id)
        elif changeset.run and changeset.run_id:
            self._moved(changeset, changeset.run_id)

    def _wanted(self, changeset: Changeset, run_id: str) -> None:
        node = self.runs.setdefault(run_id, Node(""))
        if changeset.entry and changeset.entry.kind == "cancel":
            assert node.status != "done", "something was wanted of a run that is over"
            node.is_cancelled = True

    def _moved(self, changeset: Changeset, run_id: str) -> None:
        assert changeset.run
        node = self.runs.setdefault(run_id, Node(changeset.thread_id))
        node.thread = changeset.thread_id
        if changeset.run.status == "running":
            self._began(changeset, run_id, node)
            return
        assert changeset.epoch in (node.epoch, node.epoch + 1), "an older epoch has written"
        if changeset.run.status == "done":
            end = changeset.run.termination
            assert end
            assert not node.is_cancelled or end.type in ("cancelled", "error"), "a cancellation did not win"
            node.ended_by, node.is_cancelled = end.type, False
        node.status, node.epoch = changeset.run.status, changeset.epoch

    def _began(self, changeset: Changeset, run_id: str, node: Node) -> None:
        assert node.status != "running", "it began in the midst of itself"
        assert node.status != "done" or node.ended_by in ("cancelled", "stopped"), "it had come to its end"
        assert changeset.epoch == node.epoch + 1, "an epoch was left out"
        parent, fresh = changeset.parent_run_id, node.status != "waiting"
        if parent and fresh and parent != node.parent:
            owner = self.runs[parent]
            assert owner.status in ("running", "waiting"), "it began below a run that is over"
            assert not owner.is_cancelled, "it began below a run that is being cancelled"
            if changeset.epoch == 1:
                assert run_id in self.refs(owner.thread), "its owner did not know of it"
        node.parent, node.status, node.epoch = parent, "running", changeset.epoch

    def refs(self, thread: str) -> set[str]:
        """The sub-agents in the state of a thread."""
        draft = self.states.get(thread)
        return set(sub_agents_in(draft.document).runs) if draft else set()

    def shown(self) -> dict[str, str]:
        """How each sub-agent is to its owner."""
        owned = [run_id for thread in self.states for run_id in self.refs(thread)]
        return {run_id: self._shown(run_id) for run_id in owned if run_id in self.runs}

    def _shown(self, run_id: str) -> str:
        node = self.runs[run_id]
        ends = {"natural_end": "completed", "error": "failed"}
        return ends.get(node.ended_by, "stopped") if node.status == "done" else node.status

    def open_below(self, run_id: str) -> list[str]:
        """Of a run and all that it has started, those that go on or wait."""
        below = [each for each, node in self.runs.items() if node.parent == run_id]
        rest = [one for each in below for one in self.open_below(each)]
        node = self.runs.get(run_id)
        return [run_id, *rest] if node and node.status in ("running", "waiting") else rest

    def standing(self) -> dict[str, tuple[str, int]]:
        """How each run is, and in which epoch."""
        return {
            run_id: (node.status, node.epoch) for run_id, node in self.runs.items() if node.status != "new"
        }
