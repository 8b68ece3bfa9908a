"""One of many processes that run agents on one file.

    python -m campaign.processes.contender LOG DICE SECONDS AT_ONCE

Until its time is over it keeps so many runs going, decides what the runs of the *other* processes ask, and
appends by itself, to see how long that takes. It says `ready`, begins when it is sent a line, says `over`
when its runs are, and keeps deciding until it receives another line. Then it prints its results as JSON.
"""

import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field

import anyio

from campaign.scenes.crew import SCRIPTS, crew
from threadlog.engine import Decision, Runtime
from threadlog.engine.runs.placement import IfActive
from threadlog.store import ANY, Changeset, Log
from threadlog.store.appender import changes
from threadlog.store.changeset import control_stream
from threadlog.store.errors import NotFound, RunError, RunOver, ThreadlogError

SHARED = 6
"""Threads on which all processes start runs, queued or superseding."""

PROBES = "probe "
"""How the threads are called to which is appended without a run."""


@dataclass
class Told:
    """What the log has acknowledged to this process."""

    started: list[str] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    """By run: how."""
    decided: list[tuple[str, str, bool]] = field(default_factory=list)
    appended: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Milliseconds of each append."""
    noted: list[str] = field(default_factory=list)
    """By the key of its call: the effects that tools have had."""
    outrun: int = 0
    """How often another process decided first."""
    problems: list[str] = field(default_factory=list)


class Contender:
    def __init__(self, runtime: Runtime, dice: random.Random, told: Told, until: float) -> None:
        self._runtime = runtime
        self._dice = dice
        self._told = told
        self._until = until

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._until

    async def unharmed(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever comes to a user is a finding; the others go on."""
        try:
            await work()
        except ThreadlogError as err:
            self._told.problems.append(f"{work.__name__}: {err!r}")

    async def keep_running(self) -> None:
        while not self._is_late:
            thread: str | None = None
            if_active: IfActive = "reject"
            if self._dice.random() < 0.25:
                thread = f"shared {self._dice.randrange(SHARED)}"
                if_active = "queue" if self._dice.random() < 0.6 else "supersede"
            await self._one(thread, if_active)

    async def _one(self, thread: str | None, if_active: IfActive) -> None:
        prompt = self._dice.choice(list(SCRIPTS))
        run = await self._runtime.start("planner", prompt, thread=thread, if_active=if_active)
        self._told.started.append(run.run_id)
        async for _ in run:
            pass
        try:
            async for _ in self._runtime.subscribe(run.run_id):
                pass
        except NotFound:
            self._told.problems.append(f"run {run.run_id} never started and was not cancelled")
            return
        result = await run.result()
        self._told.ended[run.run_id] = f"{result.status} {result.termination.type}"
        if result.termination.type == "error":
            self._told.problems.append(f"run {run.run_id} has failed: {result.termination.detail}")

    async def decide(self) -> None:
        """Answer what is asked in the runs that others have executed, as soon as it is seen."""
        # Its own: what the runtime follows is not this process's affair.
        async with aclosing(changes(self._runtime.log)) as news:
            async for _ in news:
                for row in self._runtime.log.open_runs():
                    is_own = row.executor and row.executor.pid == os.getpid()
                    if row.status == "waiting" and not is_own:
                        await self._answer(row.run_id, row.control)

    async def _answer(self, run_id: str, taken: int) -> None:
        if self._runtime.log.head(control_stream(run_id)) > taken:
            return
        for call in self._runtime.pending(run_id):
            ticket = call.suspension.ticket if call.suspension else call.call_id
            decision = Decision(ticket, self._dice.random() < 0.8, by=str(os.getpid()))
            try:
                await self._runtime.decide(run_id, [decision])
                self._told.decided.append((run_id, ticket, decision.approved))
            except (RunError, RunOver):
                self._told.outrun += 1

    async def append(self) -> None:
        """Append to a thread of all and to one of its own, one behind the other."""
        number = 0
        while not self._is_late:
            thread = PROBES + self._dice.choice(["of all", str(os.getpid())])
            item = Changeset(id=f"{os.getpid()} {number}", thread_id=thread, reason="edited", at=number)
            self._told.waits.append(await anyio.to_thread.run_sync(appended, self._runtime.log, item))
            self._told.appended.append(item.id)
            number += 1


def appended(log: Log, item: Changeset) -> float:
    """How many milliseconds it took."""
    begun = time.monotonic()
    log.append(item, ANY)
    return (time.monotonic() - begun) * 1000


async def contend(path: str, dice: random.Random, seconds: float, at_once: int) -> Told:
    told = Told()
    async with Runtime.open(path, agents=crew(told.noted.append)) as runtime:
        contender = Contender(runtime, dice, told, time.monotonic() + seconds)
        async with anyio.create_task_group() as deciding:
            deciding.start_soon(contender.unharmed, contender.decide)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(contender.unharmed, contender.append)
                for _ in range(at_once):
                    tasks.start_soon(contender.unharmed, contender.keep_running)
            say("over")
            await anyio.to_thread.run_sync(sys.stdin.readline)
            deciding.cancel_scope.cancel()
    return told


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say("ready")
    if sys.stdin.readline():
        log, dice, seconds, at_once = sys.argv[1:]
        told = anyio.run(contend, log, random.Random(dice), float(seconds), int(at_once))
        say(json.dumps(asdict(told)))
