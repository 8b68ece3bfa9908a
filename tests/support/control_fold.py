"""What a log says of its runs: a pure fold, made from nothing, that knows nothing of the engine or of SQL.

Every law of run control that can be said of a history is asserted as it is folded, at every prefix.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from threadlog.store import Changeset
from threadlog.store.changeset import CONTROL, ControlEntry, Executor
from threadlog.store.history import Entry


@dataclass
class Folded:
    """A run."""

    thread: str
    status: str = "queued"
    """`queued`, `running`, `waiting`, `done`; `dropped` if it was cancelled before its turn."""
    epoch: int = 0
    parent: str | None = None
    agent: str | None = None
    executor: Executor | None = None
    termination: str | None = None
    entries: list[ControlEntry] = field(default_factory=list)
    taken: int = 0
    decided: list[str] = field(default_factory=list)
    """The ids of the decisions that have reached a call."""
    unused: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    tickets: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    """By target: the early decisions."""

    @property
    def is_active(self) -> bool:
        return self.status in ("running", "waiting")

    @property
    def is_over(self) -> bool:
        return self.status in ("done", "dropped")

    @property
    def is_cancelled(self) -> bool:
        return any(entry.kind == "cancel" for entry in self.entries)


class Fold:
    """All runs of a log, and its threads."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.runs: dict[str, Folded] = {}
        self.threads: dict[str, int] = {}
        self.position = 0
        self._streams: dict[str, int] = {}
        self._open: dict[str, list[str]] = {}
        """By thread: the runs that are not over, and some that are."""
        self.add(entries)

    def add(self, entries: Iterable[Entry]) -> None:
        """Continue with the entries after the position."""
        for entry in entries:
            self._fold(entry.changeset)
            self.position = entry.position

    def active(self, thread: str) -> list[str]:
        return [id for id in self._open_on(thread) if self.runs[id].is_active]

    def queue(self, thread: str | None = None) -> list[str]:
        """In the order in which they came."""
        ids = self.runs if thread is None else self._open_on(thread)
        return [id for id in ids if self.runs[id].status == "queued"]

    def _open_on(self, thread: str) -> list[str]:
        left = [id for id in self._open.get(thread, ()) if not self.runs[id].is_over]
        self._open[thread] = left
        return left

    def _add(self, run_id: str, run: Folded) -> None:
        self.runs[run_id] = run
        self._open.setdefault(run.thread, []).append(run_id)

    def _fold(self, changeset: Changeset) -> None:
        versions = self._streams if changeset.thread_id.startswith(CONTROL) else self.threads
        versions[changeset.thread_id] = versions.get(changeset.thread_id, 0) + 1
        assert changeset.version == versions[changeset.thread_id]
        if changeset.entry:
            self._wanted(changeset, changeset.entry)
        else:
            self._written(changeset, changeset.run_id or "")

    def _wanted(self, changeset: Changeset, entry: ControlEntry) -> None:
        run_id = changeset.run_id or ""
        if entry.start:
            assert run_id not in self.runs
            self._add(run_id, Folded(entry.start.thread_id, parent=entry.start.parent_run_id))
            self.runs[run_id].agent = entry.start.agent
        run = self.runs[run_id]
        assert not run.is_over, "an entry for a run that is over"
        assert entry.id not in {known.id for known in run.entries}
        run.entries.append(entry)
        if entry.kind == "cancel" and run.status == "queued":
            run.status = "dropped"

    def _written(self, changeset: Changeset, run_id: str) -> None:
        if changeset.reason == "run_started":
            self._begin(changeset, run_id)
        run = self.runs[run_id]
        assert self.active(run.thread) == [run_id], "one active run on a thread, and only it writes"
        if changeset.reason == "run_resumed" or changeset.epoch > run.epoch:
            assert (run.status, changeset.epoch) == ("waiting", run.epoch + 1)
        else:
            assert run.status == "running" or changeset.reason == "superseded"
            assert changeset.epoch == run.epoch
        run.epoch, run.executor = changeset.epoch, changeset.executor or run.executor
        for action in changeset.actions:
            self._act(run, action.action, action.payload)
        self._take(run, changeset)
        if changeset.run:
            run.status = changeset.run.status
            run.termination = changeset.run.termination.type if changeset.run.termination else None
        if run.status == "done":
            _assert_ended(run)

    def _begin(self, changeset: Changeset, run_id: str) -> None:
        if run_id not in self.runs:
            self._add(run_id, Folded(changeset.thread_id, parent=changeset.parent_run_id))
        run = self.runs[run_id]
        assert self.active(run.thread) == []
        assert run.status == "queued"
        if run.entries and run.entries[0].start:
            assert self.queue(run.thread)[0] == run_id, "the first of its queue"
        run.status, run.epoch = "running", 1
        run.agent = changeset.agent.name if changeset.agent else None

    def _take(self, run: Folded, changeset: Changeset) -> None:
        """Entries are taken in once, in order, and none that is not there."""
        if changeset.control is not None:
            assert run.taken < changeset.control <= len(run.entries)
            for entry in run.entries[run.taken : changeset.control]:
                if entry.kind == "steer":
                    id = f"{changeset.run_id}:steer:{entry.id}"
                    assert [m.content for m in changeset.messages if m.id == id] == [entry.content]
                    run.said.append(entry.id)
            run.taken = changeset.control

    def _act(self, run: Folded, action: str, payload: dict[str, Any]) -> None:
        match action:
            case "SuspendToolCall":
                run.tickets[payload["call_id"]] = payload["suspension"]["ticket"]
            case "DecideToolCall":
                _assert_for(run, payload["call_id"], payload["decision"])
                run.decided.append(payload["decision"]["id"])
            case "KeepDecision":
                run.kept[payload["decision"]["target"]] = payload["decision"]["id"]
            case "RemoveDecision":
                id = run.kept.pop(payload["target"])
                run.unused.extend([id] if payload.get("unused") else [])


def _assert_for(run: Folded, call_id: str, decision: dict[str, Any]) -> None:
    """A decision reaches the call that it names, as it was given."""
    (entry,) = (entry for entry in run.entries if entry.id == decision["id"])
    assert entry.kind == "decide"
    assert isinstance(entry.content, dict)
    assert entry.content["target"] == decision["target"]
    assert entry.content["approved"] == decision["approved"]
    assert (entry.by or None) == decision.get("by")
    assert decision["target"] in (call_id, run.tickets[call_id])


def _assert_ended(run: Folded) -> None:
    """It has seen all that was wanted of it: each word was said once, each decision was used at most once."""
    assert run.taken == len(run.entries)
    assert run.said == [entry.id for entry in run.entries if entry.kind == "steer"]
    assert run.kept == {}
    used = sorted([*run.decided, *run.unused])
    assert used == sorted(entry.id for entry in run.entries if entry.kind == "decide")
