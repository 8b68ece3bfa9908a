"""Two runtimes, each on an event loop of its own, that start runs on the same threads at the same moments."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import anyio
import pytest

from support.agents import gated_agent
from support.checks import assert_controlled
from support.control_fold import Fold
from support.models import recording_model
from support.waiting import TIMEOUT
from threadlog.engine import Agent, Runtime
from threadlog.engine.runs.placement import IfActive
from threadlog.store import Log
from threadlog.store.errors import ThreadAlreadyRunning

STARTS = 60
MODES = ("reject", "reject", "queue", "supersede")


class Racer:
    """Starts a run at every moment that it shares with the other one, in one of the modes after the other."""

    def __init__(self, path: Path, first: int, agent: Agent, barrier: Barrier) -> None:
        self.superseding: set[str] = set()
        self._path = path
        self._first = first
        self._agent = agent
        self._barrier = barrier

    async def race(self) -> None:
        async with Runtime.open(self._path, agents=[self._agent], durability="normal") as runtime:
            for number in range(STARTS):
                mode: Any = MODES[self._first * number % len(MODES)]
                self._barrier.wait()
                with suppress(ThreadAlreadyRunning):
                    # On every thread several times: on some of them there are runs already.
                    run = await runtime.start("planner", "go", thread=f"t{number // 3}", if_active=mode)
                    self.superseding |= {run.run_id} if mode == "supersede" else set()


def test_a_run_takes_the_place_of_another_one_only_if_that_was_asked_for(path: Path) -> None:
    """one active run on a thread, in the order of the queue; who is too late is rejected or comes later"""
    barrier = Barrier(2, timeout=TIMEOUT)
    agent = gated_agent(recording_model(*["gone"] * 10 * STARTS)[0])
    racers = [Racer(path, first, agent, barrier) for first in (1, 3)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda racer: anyio.run(racer.race), racers))

    with Log.open(path, readonly=True) as log:
        Fold(log.entries())
        details = {row.termination.detail for row in log.runs() if row.termination and row.termination.code}
    superseding = racers[0].superseding | racers[1].superseding
    assert details <= {f"run {run_id} took its place" for run_id in superseding}
    anyio.run(assert_controlled, path, agent)


REPEATED = 120


@pytest.mark.long
def test_a_run_with_an_id_is_started_once_and_not_queued_beside(path: Path) -> None:
    """Whether the first of them is starting or queued."""
    barrier = Barrier(2, timeout=TIMEOUT)
    agent = gated_agent(recording_model(*["gone"] * 2 * REPEATED)[0])

    async def race() -> None:
        async with Runtime.open(path, agents=[agent], durability="normal") as runtime:
            for number in range(REPEATED):
                barrier.wait()
                thread, id = f"t{number // 3}", f"r{number}"
                run = await runtime.start("planner", "go", thread=thread, if_active="queue", id=id)
                await run.result()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: anyio.run(race), range(2)))

    with Log.open(path, readonly=True) as log:
        assert [row.run_id for row in log.runs()] == [f"r{number}" for number in range(REPEATED)]
    anyio.run(assert_controlled, path, agent)


@pytest.mark.parametrize("if_active", ["reject", "supersede", "queue"])
@pytest.mark.anyio
async def test_callers_that_start_one_run_at_the_same_moment_get_the_same_run(
    path: Path, if_active: IfActive
) -> None:
    """in one runtime, while another run has the thread and while none has it"""
    agent = gated_agent(recording_model(*["gone"] * 200)[0])
    found: list[str | None] = []

    async def start(runtime: Runtime, id: str) -> None:
        with suppress(ThreadAlreadyRunning):
            run = await runtime.start("planner", "go", thread="t1", id=id, if_active=if_active)
            found.append((await run.result()).run_id)

    async with Runtime.open(path, agents=[agent], durability="normal") as runtime:
        for number in range(20):
            await runtime.start("planner", "go", thread="t1", if_active="queue")
            with anyio.fail_after(TIMEOUT):
                async with anyio.create_task_group() as tasks:
                    for _ in range(5):
                        tasks.start_soon(start, runtime, f"same{number}")
        with anyio.fail_after(TIMEOUT):
            while active := runtime.active_runs():
                await runtime.get_run(active[0].run_id).result()

    assert set(found) <= {f"same{number}" for number in range(20)}
    await assert_controlled(path, agent)
