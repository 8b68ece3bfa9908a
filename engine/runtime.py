"""The runtime: an open log, the agents that may run on it, and the runs that go on.

    async with Runtime.open("trips.db", agents=[planner]) as runtime:
        run = await runtime.start("planner", "Three days in Kyoto", thread="trip-1")
        async for event in run:
            ...
        result = await run.result()

Scripts and notebooks: `with Runtime.open(...) as runtime: runtime.run_sync("planner", "…")`.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from os import PathLike
from typing import Self
from weakref import WeakValueDictionary

import anyio
from anyio.from_thread import start_blocking_portal

from ..store.async_log import AsyncLog
from ..store.changeset import Executor, Message
from ..store.database import Durability
from ..store.errors import DefinitionError
from ..store.log import Log
from .agents import Registered, Registry, RemoteAgent
from .commit import Effects
from .delegation import Equipment
from .events import RunResult, Streams
from .remote import discovered
from .runs import Dispatch, Launcher, Liveness, Orphans, Recovery, Run, Runs


class Runtime(Runs):
    """Runs agents on one log. Open it with `async with`, or with `with` where there is no event loop.

    While it is open it follows the log: runs that wait go on here when they are decided, and queued ones
    start when it is their turn, whichever process asked. When the block is left, runs that still go on
    are cancelled, and the log says so. Nothing is waited for then: a behavior that must await something
    all the same does so in a shielded scope of its own.
    """

    def __init__(
        self, log: Log, agents: Sequence[Registered], effects: Effects, orphans: Orphans = "stop"
    ) -> None:
        self.log = log
        self._orphans: Orphans = orphans
        self._liveness = Liveness(log.path)
        self._liveness.refuse_second_name()
        self.registry = Registry(tuple(agents))
        """What runs that start now start with."""
        self._effects = effects
        self._executor = Executor(id=effects.new_id(), host=socket.gethostname(), pid=os.getpid())
        self._registries: dict[str, Registry] = {}
        """By run: what the open runs that began or went on here did so with."""
        self._runs: WeakValueDictionary[str, Run] = WeakValueDictionary()
        self._broken: dict[str, Run] = {}
        """The runs whose commits failed here: only their handles know that they do not go on."""

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        agents: Sequence[Registered],
        durability: Durability = "full",
        effects: Effects | None = None,
        orphans: Orphans = "stop",
    ) -> Self:
        """Open the log at `path`, which is made if there is none.

        `orphans` says what becomes of runs whose process died, as soon as the block is entered, and of one
        that has the thread of a run that is to start: they are stopped, a person is asked about each, they
        go on in their next epoch (those whose agents are here), or they are left alone.

        Raises:
            DefinitionError: two agents have the same name.
            LogUnavailable: the file has a second hard link; as `Log.open`, like the other errors of a log.
        """
        log = Log.open(path, durability=durability)
        try:
            return cls(log, agents, effects or Effects(), orphans)
        except BaseException:
            log.close()
            raise

    async def replace(self, agents: Sequence[Registered]) -> Registry:
        """Replace all agents at once: for the runs that start from now on. Others keep theirs.

        Raises:
            DefinitionError: two agents have the same name; nothing is replaced.
        """
        registry = Registry(tuple(agents), self.registry.version + 1)
        await self._connect(registry)
        self.registry = registry
        return registry

    async def discover(
        self, url: str, *, name: str | None = None, token_env: str | None = None
    ) -> RemoteAgent:
        """Read the agent card at an address, and add the agent: for the runs that start from now on.

        It is called as its card says, unless there is a `name`. `token_env` is the environment variable with
        the bearer token for it. Discovered again, it is there as it is now.

        Raises:
            DefinitionError: there is no agent card, or another agent has the name; nothing is added.
        """
        agent = await discovered(url, name=name, token_env=token_env)
        known = self.registry.agent(agent.name) if agent.name in self.registry else None
        if known and not (isinstance(known, RemoteAgent) and known.url == agent.url):
            raise DefinitionError(f"another agent is called {agent.name!r}: discover this one under a name")
        await self.replace([*(each for each in self.registry.agents if each is not known), agent])
        return agent

    def run_sync(
        self, agent: str, prompt: str | Sequence[Message], *, thread: str | None = None
    ) -> RunResult:
        """Start a run and wait for its end, in a `with` block and from outside any event loop.

        Raises:
            RunError, LogError: as `start` and `Run.result`.
        """

        async def whole() -> RunResult:
            return await (await self.start(agent, prompt, thread=thread)).result()

        return self._portal.call(whole)

    def _ended(self, run: Run) -> None:
        """A run does not go on here any more: those that wait for its thread may."""
        if not run.is_waiting:
            self._registries.pop(run.run_id, None)
        if run.is_broken:
            self._broken[run.run_id] = run
        else:
            self._broken.pop(run.run_id, None)
        if not self._is_closing:
            self._dispatch.make_way(run)

    async def _connect(self, registry: Registry) -> None:
        for connection in registry.connections():
            if id(connection) not in self._connected:
                # One that keeps connections keeps them as long as the runtime is open.
                await self._opened.enter_async_context(connection)
                self._connected.add(id(connection))

    async def __aenter__(self) -> Self:
        self._is_closing, self._connected = False, set[int]()
        async with AsyncExitStack() as self._opened:
            self._opened.callback(self.log.close)
            # Before anything is written, and until all is.
            self._opened.enter_context(self._liveness.hold(self._executor.id))
            self._async_log = await self._opened.enter_async_context(AsyncLog(self.log))
            await self._connect(self.registry)
            self._tasks = await anyio.create_task_group().__aenter__()
            self._assemble()
            self._following = anyio.CancelScope()
            self._tasks.start_soon(self._streams.follow)
            self._opened = self._opened.pop_all()
        try:
            await self._recovery.at_open()
        except BaseException:
            # In no scope of its own: those of the tasks, which are left here, were entered before it.
            await self.__aexit__()
            raise
        # Now: queued runs whose thread was an orphan's find it free, and what orphans wait for is heard.
        self._tasks.start_soon(self._follow)
        return self

    def _assemble(self) -> None:
        self._streams = Streams(self._async_log)
        self._launcher = Launcher(
            self._async_log,
            self._streams,
            self._effects,
            self._executor,
            self._tasks,
            Equipment(self).equipped,
            self._ended,
        )
        self._dispatch = Dispatch(
            self._async_log,
            self._effects,
            self._executor,
            self._launcher,
            self._registry,
            self._registries.setdefault,
            self._handle,
        )
        self._recovery = Recovery(
            self._async_log, self._effects, self._launcher, self._dispatch, self._registry, self._orphans
        )

    async def _follow(self) -> None:
        with self._following:
            await self._dispatch.follow()

    async def __aexit__(self, *_: object) -> None:
        self._is_closing = True
        self._following.cancel()
        self._streams.close()
        self._launcher.close()
        try:
            # An error of the block itself is not handed in: it would come out wrapped in a group.
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._opened.aclose()

    def __enter__(self) -> Self:
        self._threads = ExitStack()
        self._portal = self._threads.enter_context(start_blocking_portal())
        self._threads.enter_context(self._portal.wrap_async_context_manager(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()
