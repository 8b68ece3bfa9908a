"""The parts of one runtime: created, started and stopped together."""

import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Self

from anyio import CancelScope

from ...store.appender import Appender
from ...store.changeset import Executor
from ...store.errors import RunError
from ...store.log import Log
from ..agents import Registry
from ..commit import Effects
from ..events import Streams
from .cancelling import Cancelling
from .commands import RunCommands
from .dispatcher import Dispatcher
from .environment import Environment
from .execution import Executions
from .handle import Handles
from .launcher import Launcher
from .liveness import Liveness
from .queries import Queries
from .queued_runs import QueuedRuns
from .recovery import OrphanPolicy, Recovery
from .resuming import Resumer
from .run_agents import Equipper, RunAgents
from .starting import Starter


class Parts:
    """Everything that runs agents on one log. Enter it to start; leaving cancels the runs executed here."""

    def __init__(
        self, log: Log, registry: Registry, equipment: Equipper, effects: Effects, orphans: OrphanPolicy
    ) -> None:
        self._liveness = Liveness(log.path)
        self._liveness.require_single_link()
        self.environment = _environment(log, RunAgents(registry, equipment), effects)
        env = self.environment
        self.queries = Queries(env)
        self._launcher = Launcher(env)
        resumer = Resumer(env, self._launcher)
        self._dispatcher = Dispatcher(env, resumer, QueuedRuns(env, self._launcher))
        self.recovery = Recovery(env, self._liveness, resumer, self._dispatcher, orphans)
        self.cancelling = Cancelling(env, self.queries, self._dispatcher, self.recovery)
        self.commands = RunCommands(env, self.queries, resumer, self._dispatcher)
        self.starter = Starter(
            env, self.queries, self._launcher, resumer, self._dispatcher, self.recovery, self.cancelling
        )
        self._followers: list[CancelScope] = []
        self._opened = AsyncExitStack()
        self._connected: set[int] = set()
        self._is_entered = False

    async def connect(self, registry: Registry) -> None:
        """Open the connections of a registry's models. They close with the runtime."""
        for connection in registry.connections():
            if id(connection) not in self._connected:
                await self._opened.enter_async_context(connection)
                self._connected.add(id(connection))

    def require_entered(self) -> None:
        """Check that the runtime is open or has been open, so that its event streams work or have ended.

        Raises:
            RunError: the runtime was never entered.
        """
        if not self._is_entered:
            raise RunError("the runtime is not open: use it inside `async with Runtime.open(...)`")

    async def __aenter__(self) -> Self:
        env = self.environment
        if env.tasks.is_open:
            raise RunError("the runtime is already open: enter it once")
        self._is_entered = True
        async with AsyncExitStack() as self._opened:
            self._opened.callback(env.log.close)
            # Hold the lock from before the first append until after the last one.
            self._opened.enter_context(self._liveness.hold(env.executor.id))
            await self._opened.enter_async_context(env.appender)
            await self.connect(env.agents.current)
            await env.tasks.open()
            self._start_following(env.streams.follow)
            self._opened = self._opened.pop_all()
        try:
            await self.recovery.recover_at_open()
        except BaseException:
            # Not inside a cancel scope of this function: the task group, which closes here, is an outer one.
            await self.__aexit__()
            raise
        # After recovery: queued runs find their threads free, and recovered runs receive their decisions.
        self._start_following(self._dispatcher.follow)
        return self

    def _start_following(self, follow: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def until_closed(scope: CancelScope) -> None:
            with scope:
                await follow()

        self._followers.append(scope := CancelScope())
        self.environment.tasks.start_soon(until_closed, scope)

    async def __aexit__(self, *_: object) -> None:
        for scope in self._followers:
            scope.cancel()
        self.environment.streams.close()
        self._launcher.close()
        try:
            await self.environment.tasks.close()
        finally:
            await self._opened.aclose()


def _environment(log: Log, agents: RunAgents, effects: Effects) -> Environment:
    streams, executions = Streams(log), Executions()
    return Environment(
        log=log,
        appender=Appender(log),
        effects=effects,
        executor=Executor(id=effects.new_id(), host=socket.gethostname(), pid=os.getpid()),
        agents=agents,
        streams=streams,
        handles=Handles(streams, executions),
        executions=executions,
    )
