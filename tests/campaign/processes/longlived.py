"""One process whose runtime stays open for very many runs.

    python -m campaign.processes.longlived LOG DICE MARK…

It says `ready`, and begins when it is sent a line. Whenever it has executed so many runs as one of the marks
says, and no run is active, it prints its use of resources as JSON.
"""

import gc
import json
import os
import random
import sys
import threading
from asyncio import all_tasks
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio

from campaign.scenes.crew import SCRIPTS, crew
from threadlog.engine import Decision, Runtime
from threadlog.engine.runs.placement import IfActive
from threadlog.store.appender import changes
from threadlog.store.errors import RunError

AT_ONCE = 8
ON_ONE_THREAD = 12
"""Runs after which another thread is shared: what a conversation holds is no leak."""

ALL_ITEMS = "items in containers"
CONTAINERS = (dict, list, set, frozenset, tuple)


class Worker:
    def __init__(self, runtime: Runtime, dice: random.Random, begun: int) -> None:
        self._runtime = runtime
        self._dice = dice
        self.begun = begun

    async def work(self, until: int) -> None:
        """Runs one behind the other, beside others, until so many have begun in all."""
        while self.begun < until:
            self.begun += 1
            await self._one()

    async def _one(self) -> None:
        thread: str | None = None
        if_active: IfActive = "reject"
        if self._dice.random() < 0.2:
            thread = f"shared {self.begun // ON_ONE_THREAD}"
            if_active = "queue" if self._dice.random() < 0.5 else "supersede"
        prompt = self._dice.choice(list(SCRIPTS))
        run = await self._runtime.start("planner", prompt, thread=thread, if_active=if_active)
        async with anyio.create_task_group() as listeners:
            for _ in range(self._dice.randrange(3)):
                listeners.start_soon(self._listen, run.run_id, self._dice.randrange(1, 20))
            async for _ in run:
                pass
            while (await run.result()).status == "waiting":
                await self._answered(run.run_id)

    async def _listen(self, run_id: str, events: int) -> None:
        """A subscriber that reads some events and leaves."""
        if self._runtime.log.run(run_id):
            async for _ in self._runtime.subscribe(run_id):
                events -= 1
                if not events:
                    return

    async def _answered(self, run_id: str) -> None:
        for call in self._runtime.pending(run_id):
            # It may be finished by now, or another process may have decided it.
            with suppress(RunError):
                await self._runtime.decide(run_id, [Decision(call.call_id, self._dice.random() < 0.8)])

    async def rest(self) -> None:
        """Return when no run is active: superseded ones and abandoned ones included."""
        async with aclosing(changes(self._runtime.log)) as news:
            async for _ in news:
                if not self._runtime.active_runs():
                    return
                for row in self._runtime.active_runs():
                    if row.status == "waiting":
                        await self._answered(row.run_id)


def taken_up(path: Path) -> dict[str, Any]:
    """What this process takes up, when all that is garbage is gone."""
    gc.collect()
    objects = gc.get_objects()
    kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)
    kinds[ALL_ITEMS] = sum(len(each) for each in objects if type(each) in CONTAINERS)
    status = Path("/proc/self/status").read_text().split()
    wal = path.with_name(path.name + "-wal")
    return {
        "KB of memory": int(status[status.index("VmRSS:") + 1]),
        "file handles": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(all_tasks()),
        "KB of write-ahead log": wal.stat().st_size // 1024,
        "liveness files": len(list(path.with_name(path.name + ".live").iterdir())),
        "objects": dict(kinds),
    }


async def live(path: Path, dice: random.Random, marks: Sequence[int]) -> None:
    async with Runtime.open(path, agents=crew()) as runtime:
        for begun, until in pairwise([0, *marks]):
            worker = Worker(runtime, dice, begun)
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(worker.work, until)
            await worker.rest()
            del worker, tasks
            say(json.dumps(taken_up(path)))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say("ready")
    if sys.stdin.readline():
        log, dice, *marks = sys.argv[1:]
        anyio.run(live, Path(log), random.Random(dice), list(map(int, marks)))
