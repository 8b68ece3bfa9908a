"""Processes at work on one file, each of which is killed at a call on it that the dice have chosen.

In a commit, in a checkpoint, at a lock, in its recovery of what others have left, while others are at work on
the same: another one takes its place at once. The calls are counted in each process by itself, so a seed
repeats at which call each dies, not what the others do meanwhile.
"""

import signal
import subprocess
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio

from campaign.faults.injection import How, Kind, built, preloaded
from campaign.parts.part import Outcome
from campaign.scenes.crew import crew
from support.control_fold import Fold
from support.programs import started
from support.tree_fold import Tree
from threadlog.engine import Runtime
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers.run import QUESTION
from threadlog.store import Log
from threadlog.store.listing import RunRow

AT_ONCE = 3
PATIENCE = 15.0
"""Seconds in which a live process reaches its call."""

LATEST = {Kind.WRITE: 600, Kind.SYNC: 60, Kind.LOCK: 1500, Kind.OPEN: 8, Kind.CUT: 2}
"""The last call of a kind at which a process may die."""

KINDS = [*[Kind.WRITE] * 5, *[Kind.SYNC] * 2, *[Kind.LOCK] * 2, Kind.OPEN, Kind.CUT]
"""As often as each is chosen."""

HOW = [How.KILL_BEFORE, How.KILL_AMID, How.KILL_AFTER]


class Death(NamedTuple):
    """At which call a process dies."""

    kind: Kind
    how: How
    nth: int


def death(dice: Random) -> Death:
    """As often among the first ten calls, as it recovers what others have left, as among the next ninety."""
    kind = dice.choice(KINDS)
    return Death(kind, dice.choice(HOW), round(LATEST[kind] ** dice.random()))


@dataclass
class Deaths:
    """One file, and all who have died of it."""

    seed: int
    folder: Path
    given: Mapping[str, str] = field(default_factory=dict)
    """Variables for all of them; LD_PRELOAD is loaded beside what kills them."""
    outcome: Outcome = field(default_factory=Outcome)
    fold: Fold = field(default_factory=Fold)
    tree: Tree = field(default_factory=Tree)
    started: set[str] = field(default_factory=set)
    ended: dict[str, set[str]] = field(default_factory=dict)
    """By run: how. One that was stopped may have gone on."""
    decided: list[tuple[str, str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        preload = preloaded(built(self.folder))
        beside = self.given.get("LD_PRELOAD", "")
        self._given = {**preload, **self.given, "LD_PRELOAD": f"{preload['LD_PRELOAD']} {beside}".strip()}
        (self.folder / "log").mkdir()
        self.path = self.folder / "log" / "log.db"
        self.notes = self.folder / "notes"
        self.notes.touch()

    def die(self, kills: int, at_once: int = AT_ONCE) -> None:
        """So many die, and then the log is looked at."""
        first = self.outcome.cases
        with ThreadPoolExecutor(at_once) as slots:
            for moment, said in slots.map(self._killed, range(first, first + kills)):
                self.outcome.counts[f"killed at a {moment}"] += 1
                is_early = not any(line.startswith("started ") for line in said)
                self.outcome.counts["of these before their first run, in recovery or as they open"] += (
                    is_early
                )
                self._hear(said)
        self.outcome.cases += kills
        # They may all have died before there was a log.
        with self._finding(f"behind death {self.outcome.cases}"), Log.open(self.path) as log:
            self._check(log)

    def _killed(self, number: int) -> tuple[str, list[str]]:
        """The moment of its death, and what a process has said until then."""
        dice = f"{self.seed} death {number}"
        chosen = death(Random(dice))
        kind: Kind | None = chosen.kind
        arguments = (self.path, self.notes, dice, *map(int, chosen))
        with started(*arguments, script="campaign.processes.dying", given=self._given) as process:
            try:
                said, errors = process.communicate("go\n", timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                said, errors = process.communicate()
                kind = None
        if process.returncode != -signal.SIGKILL or errors:
            what = f"seed {self.seed}, death {number} ({chosen})"
            self.outcome.findings.append(f"{what} has left with {process.returncode}: {errors[-2000:]}")
        moment = "random moment" if kind is None else f"call to {kind.name.lower()}"
        return moment, said.splitlines()

    def _hear(self, said: list[str]) -> None:
        for line in said:
            match line.split(" "):
                case ["started", run_id]:
                    self.started.add(run_id)
                case ["ended", run_id, how]:
                    self.ended.setdefault(run_id, set()).add(how)
                case ["decided", run_id, *ticket, approved]:
                    self.decided.append((run_id, " ".join(ticket), approved == "yes"))

    @contextmanager
    def _finding(self, where: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.outcome.findings.append(f"seed {self.seed}, {where}: {traceback.format_exc(limit=-2)}")

    def _check(self, log: Log) -> None:
        """The log is intact and lawful, and what was acknowledged is in it."""
        assert log.verify() == []
        news = list(log.entries(self.fold.position))
        self.fold.add(news)
        for each in news:
            self.tree.add(each)
        assert self.started <= self.fold.runs.keys()
        rows = {row.run_id: row for row in log.runs()}
        for run_id, hows in self.ended.items():
            assert rows[run_id].status == "done" or rows[run_id].epoch > 1, rows[run_id]
            assert _end(rows[run_id]) in hows or rows[run_id].epoch > 1, (rows[run_id], hows)
        for run_id, ticket, approved in self.decided:
            given: list[Any] = [e.content for e in self.fold.runs[run_id].entries if e.kind == "decide"]
            assert [one["approved"] for one in given if one["target"] == ticket] == [approved]

    def end(self, sample: int) -> Outcome:
        """No process dies any more: everything left is recovered and finished."""
        with self._finding("at the end"):
            anyio.run(self._ended)
            left = [each.name for each in self.path.parent.iterdir() if each != self.path]
            assert left == [], left
            with Log.open(self.path, readonly=True) as log:
                self._check(log)
                assert log.open_runs() == []
                self._count(log)
                runs = [row.run_id for row in log.runs()]
                chosen = Random(f"{self.seed} deaths sample").sample(runs, k=min(sample, len(runs)))
                anyio.run(self._replayed, log, chosen)
                self._assert_once(log)
        return self.outcome

    def _assert_once(self, log: Log) -> None:
        """No tool has had its effect twice, unless a person has said that it is to be called again."""
        noted = Counter(self.notes.read_text().splitlines())
        again = called_again(log)
        twice = {key: n for key, n in noted.items() if n > 1 + again[key.split(":")[0], key.split(":")[2]]}
        assert twice == {}, twice

    async def _ended(self) -> None:
        async with Runtime.open(self.path, agents=crew()) as runtime:
            while active := runtime.active_runs():
                await runtime.cancel(active[-1].run_id, wait=True)

    def _count(self, log: Log) -> None:
        recovered = [e.changeset for e in log.entries() if e.changeset.reason == "recovered"]
        ways = Counter(each.run.status if each.run else "" for each in recovered)
        self.outcome.counts.update(
            {
                "runs": len(self.fold.runs),
                "orphans stopped": ways["done"],
                "orphans that went on or asked": ways["waiting"],
                "decisions": len(self.decided),
                "effects of tools": len(self.notes.read_text().splitlines()),
            }
        )

    async def _replayed(self, log: Log, sample: list[str]) -> None:
        for run_id in sample:
            if divergence := await replay_run(log, run_id, crew()):
                self.outcome.findings.append(
                    f"seed {self.seed}, run {run_id} does otherwise when it is executed again: {divergence}"
                )


def called_again(log: Log) -> Counter[tuple[str, str]]:
    """By run and call: how often a person has said that a call is to be made again."""
    asked, found = set[str](), Counter[tuple[str, str]]()
    for changeset in (each.changeset for each in log.entries()):
        for action in changeset.actions:
            payload: dict[str, Any] = action.payload
            if action.action == "SuspendToolCall" and payload["suspension"]["action"] == QUESTION:
                asked.add(payload["suspension"]["ticket"])
            if action.action == "DecideToolCall" and payload["decision"]["target"] in asked:
                found[changeset.run_id or "", payload["call_id"]] += payload["decision"]["approved"]
    return found


def _end(row: RunRow) -> str:
    return row.termination.type if row.termination else ""
