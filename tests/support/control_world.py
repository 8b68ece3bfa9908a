"""Two runtimes on one file, to which things happen: they open, close and crash while runs go on in them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup, TaskStatus

from support.agents import gated_agent
from support.control_fold import Fold
from support.models import GatedModel, GatedRequest
from threadlog.engine import Agent, Runtime, SystemEffects
from threadlog.store import Log

PATIENCE = 10.0
"""Seconds after which it does not settle."""

Agents = Callable[[GatedModel], list[Agent]]


def alone(model: GatedModel) -> list[Agent]:
    """One agent without sub-agents."""
    return [gated_agent(model)]


class Named(SystemEffects):
    """The system's clock, and ids that say who made them. The first is the executor's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.executor = f"{name}-1"
        self._name = name
        self._made = 0

    def new_id(self) -> str:
        self._made += 1
        return f"{self._name}-{self._made}"


class Host:
    """A runtime in a task of its own. While it is down there is none."""

    def __init__(
        self,
        path: Path,
        name: str,
        tasks: TaskGroup,
        agents: Agents = alone,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.model = GatedModel()
        self.runtime: Runtime | None = None
        self.executor = ""
        self.has_agent = False
        self._path = path
        self._name = name
        self._tasks = tasks
        self._agents = agents
        self._tell = tell
        """Called, from any thread, whenever it has committed something, or its requests are others."""
        self._opened = 0
        self._left = anyio.Event()
        self._left.set()
        self._leave = CancelScope()
        self._moves = anyio.Lock()
        self._callers: dict[CancelScope, anyio.Event] = {}
        self._is_crashing = False

    async def open(self, *, has_agent: bool = True) -> None:
        async with self._moves:
            if self._left.is_set():
                self._opened += 1
                self.model, self.has_agent = GatedModel(self._tell), has_agent
                self._leave, self._left, self._is_crashing = CancelScope(), anyio.Event(), False
                await self._tasks.start(self._live)

    async def _live(self, *, task_status: TaskStatus[None]) -> None:
        effects = Named(f"{self._name}{self._opened}")
        agents = self._agents(self.model) if self.has_agent else []
        try:
            with self._leave:
                async with Runtime.open(
                    self._path, agents=agents, durability="normal", effects=effects
                ) as runtime:
                    runtime.log.listen(self._tell)
                    self.runtime, self.executor = runtime, effects.executor
                    task_status.started()
                    await anyio.sleep_forever()
        except Exception:
            # What tells of the crash: nothing that it was doing could be written.
            if not self._is_crashing:
                raise
        finally:
            self.runtime = None
            self._left.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Runtime | None]:
        """A client of the runtime, if there is one; it disappears when the process crashes."""
        with CancelScope() as scope:
            self._callers[scope] = gone = anyio.Event()
            try:
                yield self.runtime
            except Exception:
                if not self._is_crashing:
                    raise
            finally:
                del self._callers[scope]
                gone.set()

    async def close(self) -> None:
        async with self._moves:
            self.runtime = None
            await self._gone()
            self._leave.cancel()
            await self._left.wait()

    async def crash(self) -> None:
        """From now on it writes nothing, not even how its runs end."""
        async with self._moves:
            if self.runtime:
                self._is_crashing = True
                self.runtime.log.close()
            self._leave.cancel()
            for caller in self._callers:
                caller.cancel()
            await self._gone()
            await self._left.wait()

    async def _gone(self) -> None:
        for gone in list(self._callers.values()):
            await gone.wait()


async def comes(news: Event, holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold, which is looked at again whenever there is news."""
    with anyio.move_on_after(PATIENCE):
        while True:
            # Before it is looked at: what happens in between is news.
            news.clear()
            if holds():
                return True
            await anyio.to_thread.run_sync(news.wait, PATIENCE, abandon_on_cancel=True)
    return False


class World:
    """Two hosts, and a log beside them to look at the file."""

    def __init__(self, path: Path, tasks: TaskGroup) -> None:
        self._news = Event()
        self.hosts = [Host(path, name, tasks, tell=self._news.set) for name in "ab"]
        self.log = Log.open(path, durability="normal")

    def fold(self) -> Fold:
        return Fold(self.log.entries())

    def up(self) -> list[Host]:
        return [host for host in self.hosts if host.runtime]

    def requests(self) -> list[GatedRequest]:
        """The requests that wait for an answer."""
        return [asked for host in self.up() for asked in host.model.waiting]

    async def settled(self) -> Fold:
        """Return when nothing will happen by itself any more. That comes soon: whatever can go on does."""
        if await comes(self._news, lambda: self._is_settled(self.fold())):
            return self.fold()
        open_runs = {id: run for id, run in self.fold().runs.items() if not run.is_over}
        hosts = [(host.executor, len(host.model.waiting)) for host in self.up()]
        raise AssertionError(f"it does not settle: {hosts}, {open_runs}")

    def _is_settled(self, fold: Fold) -> bool:
        executors = {host.executor for host in self.up()}
        here = [
            run
            for run in fold.runs.values()
            if run.status == "running" and run.executor and run.executor.id in executors
        ]
        can_run = any(host.has_agent for host in self.up())
        return (
            len(self.requests()) == len(here)
            and not any(run.is_cancelled for run in here)
            and not any(
                run.status == "waiting"
                and run.taken < len(run.entries)
                and (can_run or (self.up() and run.is_cancelled))
                for run in fold.runs.values()
            )
            and not (can_run and any(not fold.active(fold.runs[id].thread) for id in fold.queue()))
        )
