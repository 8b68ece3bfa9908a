"""Runs controlled from another process while theirs is killed. THREADLOG_LONG=1 kills it much more often."""

import os
import random
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.checks import assert_controlled
from support.control_fold import Fold
from support.executor_process import Executing
from support.processes.executor import planner
from support.programs import Process, go, ready, started
from threadlog.engine import ActiveRun, Agent, Decision, Runtime, ScriptedModel
from threadlog.engine.events import run_events
from threadlog.engine.events.event import DurableEvent, RunFinished
from threadlog.store import Log
from threadlog.store.errors import RunError, RunOver

LONG = bool(os.environ.get("THREADLOG_LONG"))
KILLS = 250 if LONG else 6
SESSION = 10
"""After so many kills the controlling runtime is opened anew: its listeners go on where they were."""


def closer() -> Agent:
    """Replaces a run that no process executes any more."""
    return Agent("closer", ScriptedModel(*["closed"] * 10_000))


@dataclass
class Heard:
    """What was acknowledged, and what listeners were told."""

    steered: list[tuple[str, str]] = field(default_factory=list)
    decided: list[tuple[str, str, bool]] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    told: dict[str, list[DurableEvent]] = field(default_factory=lambda: defaultdict(list))
    orphans: int = 0
    recovered: int = 0
    """Of the orphans, those that nothing else has ended."""


class Controller:
    """A user who has the file only, and the dice."""

    def __init__(self, runtime: Runtime, dice: random.Random, heard: Heard, tasks: Any) -> None:
        self._runtime = runtime
        self._dice = dice
        self._heard = heard
        self._tasks = tasks
        self._followed: set[str] = set()
        self._steps: list[Callable[[ActiveRun], Awaitable[None]]] = [
            self._decide,
            self._decide,
            self._decide,
            self._steer,
            self._cancel,
            self._supersede,
            self._queue,
        ]

    def listen(self) -> None:
        """Follow every run there is, each from where it was left the last time."""
        for row in self._runtime.log.runs():
            told = self._heard.told[row.run_id]
            if row.run_id not in self._followed and not is_whole(told):
                self._followed.add(row.run_id)
                self._tasks.start_soon(self._follow, row.run_id, told)

    async def _follow(self, run_id: str, told: list[DurableEvent]) -> None:
        async for event in self._runtime.subscribe(run_id, told[-1].cursor if told else None):
            if event.cursor:
                told.append(event)

    async def step(self) -> None:
        """Something is wanted of one of the runs. What is over meanwhile may be refused."""
        self.listen()
        if active := self._runtime.active_runs():
            await self._dice.choice(self._steps)(self._dice.choice(active))

    async def let_go_on(self, executing: Executing) -> None:
        """The process may go on, and gets somewhere meanwhile or nowhere: the dice say how far."""
        if not executing.is_dead:
            executing.grant(self._dice.randrange(4))
            await executing.goes_on(self._runtime.log, commits=self._dice.randrange(6))

    async def _decide(self, row: ActiveRun) -> None:
        asked = self._runtime.pending(row.run_id)
        target = self._dice.choice(asked).call_id if asked else self._dice.choice(["c1", "c2"])
        approved = self._dice.random() < 0.8
        with suppress(RunError):
            await self._runtime.decide(row.run_id, [Decision(target, approved)])
            self._heard.decided.append((row.run_id, target, approved))

    async def _steer(self, row: ActiveRun) -> None:
        id = f"s{len(self._heard.steered)}"
        with suppress(RunOver):
            await self._runtime.steer(row.run_id, "Be brief", id=id)
            self._heard.steered.append((row.run_id, id))

    async def _cancel(self, row: ActiveRun) -> None:
        if self._dice.random() < 0.5 and await self._runtime.cancel(row.run_id):
            self._heard.cancelled.add(row.run_id)

    async def _supersede(self, row: ActiveRun) -> None:
        run = await self._runtime.start("closer", "go", thread=row.thread_id, if_active="supersede")
        self._heard.started.add(run.run_id)

    async def _queue(self, row: ActiveRun) -> None:
        run = await self._runtime.start("closer", "go", thread=row.thread_id, if_active="queue")
        self._heard.started.add(run.run_id)

    async def take_over(self, pid: int) -> None:
        """The place of every run is taken that the dead process has executed, or it is recovered."""
        for row in self._runtime.active_runs():
            if row.status == "running" and row.executor and row.executor.pid == pid:
                self._heard.orphans += 1
                for step in self._dice.sample(self._steps[:5], k=self._dice.randrange(3)):
                    await step(row)
                if self._dice.random() < 0.5:
                    await self._recover(row)
                    continue
                run = await self._runtime.start("closer", "go", thread=row.thread_id, if_active="supersede")
                self._heard.started.add(run.run_id)
                assert (await run.result()).output == "closed"
        self.listen()

    async def _recover(self, row: ActiveRun) -> None:
        """The run is finished, unless it was cancelled before."""
        found = await self._runtime.recover(row.run_id)
        self._heard.recovered += len(found)
        ended = self._runtime.log.run(row.run_id)
        assert ended
        assert ended.status == "done"


def is_whole(told: list[DurableEvent]) -> bool:
    """Whether the end of the run was told."""
    return bool(told) and isinstance(last := told[-1], RunFinished) and last.result.status == "done"


async def killed(process: Process, controller: Controller, dice: random.Random) -> set[str]:
    """The runs that a process has started until it was killed, before, between or behind the steps."""
    await anyio.to_thread.run_sync(ready, process)
    executing = Executing(process)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(executing.listen)
        go(process)
        turn: list[Callable[[], Awaitable[None]]] = [
            partial(controller.let_go_on, executing),
            controller.step,
        ]
        steps = turn * dice.randrange(12)
        when = dice.randrange(len(steps) + 1)
        for number, step in enumerate(steps):
            if number == when:
                executing.kill()
            await step()
        executing.kill()
    _, errors = await anyio.to_thread.run_sync(process.communicate)
    assert errors == ""
    await controller.take_over(process.pid)
    return executing.started


async def controlled(path: Path, dice: random.Random, heard: Heard) -> None:
    """All sessions. The laws of the fold hold of all that was written until each kill."""
    fold = Fold()
    with ExitStack() as stack:
        waiting = stack.enter_context(started(path, script="executor.py"))
        for first in range(0, KILLS, SESSION):
            async with (
                Runtime.open(path, agents=[closer()]) as runtime,
                anyio.create_task_group() as tasks,
            ):
                controller = Controller(runtime, dice, heard, tasks)
                for _ in range(first, min(first + SESSION, KILLS)):
                    process = waiting
                    waiting = stack.enter_context(started(path, script="executor.py"))
                    heard.started |= await killed(process, controller, dice)
                    fold.add(runtime.log.entries(fold.position))
                tasks.cancel_scope.cancel()
            with Log.open(path, readonly=True) as log:
                assert log.verify() == []


async def ended(path: Path, heard: Heard) -> Fold:
    """All that is left is cancelled, and told."""
    async with (
        Runtime.open(path, agents=[closer(), planner()]) as runtime,
        anyio.create_task_group() as tasks,
    ):
        while active := runtime.active_runs():
            await runtime.cancel(active[-1].run_id, wait=True)
        Controller(runtime, random.Random(), heard, tasks).listen()
    with Log.open(path, readonly=True) as log:
        return Fold(log.entries())


def assert_kept(heard: Heard, fold: Fold) -> None:
    """What was acknowledged is there, once, and for the call that it was meant for."""
    assert heard.started <= fold.runs.keys()
    for run_id, id in heard.steered:
        assert fold.runs[run_id].said.count(id) == (0 if fold.runs[run_id].status == "dropped" else 1)
    for run_id in heard.cancelled:
        assert [entry.kind for entry in fold.runs[run_id].entries].count("cancel") == 1
    for run_id, target, approved in heard.decided:
        contents: list[Any] = [e.content for e in fold.runs[run_id].entries if e.kind == "decide"]
        assert [each["approved"] for each in contents if each["target"] == target] == [approved]


def assert_told(path: Path, heard: Heard) -> None:
    """Listeners were told every fact once, in order."""
    with Log.open(path, readonly=True) as log:
        for row in log.runs():
            logged = list(run_events(log, row.run_id))
            assert heard.told[row.run_id] == logged


@pytest.mark.timeout(1800)
def test_no_command_is_lost_or_applied_twice_however_often_the_process_is_killed(
    path: Path,
) -> None:
    seed = int(os.environ.get("THREADLOG_SEED", random.randrange(2**32)))
    sys.stdout.write(f"THREADLOG_SEED={seed}\n")
    heard = Heard()

    anyio.run(controlled, path, random.Random(seed), heard)
    fold = anyio.run(ended, path, heard)

    assert_kept(heard, fold)
    assert_told(path, heard)
    anyio.run(assert_controlled, path, planner(), closer())
    sys.stdout.write(
        f"{KILLS} kills, {len(fold.runs)} runs, {heard.orphans} orphans, "
        f"{heard.recovered} recovered, {len(heard.decided)} decisions, "
        f"{len(heard.steered)} words, {len(heard.cancelled)} cancellations, "
        f"{sum(map(len, heard.told.values()))} facts told\n"
    )
