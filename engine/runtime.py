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
from contextlib import ExitStack
from os import PathLike
from typing import Any, Self

import anyio
from anyio.from_thread import start_blocking_portal

from ..reducers.reduce import Reducers
from ..reducers.replay import replay
from ..store.async_log import AsyncLog
from ..store.changeset import Executor, Message, ThreadFacts
from ..store.database import Durability
from ..store.errors import DefinitionError, RunError
from ..store.log import Log
from .agent import Agent
from .effects import Effects
from .events import RunResult
from .loop import Loop
from .publish import Publisher
from .run import Run
from .workspace import RunIdentity, Workspace


class Runtime:
    """Runs agents on one log. Open it with `async with`, or with `with` where there is no event loop.

    When the block is left, runs that still go on are cancelled, and the log says so.
    """

    def __init__(self, log: Log, agents: Sequence[Agent], effects: Effects) -> None:
        self.log = log
        self._agents = {agent.name: agent for agent in agents}
        if len(self._agents) < len(agents):
            raise DefinitionError("two agents have the same name")
        self._effects = effects
        self._executor = Executor(id=effects.new_id(), host=socket.gethostname(), pid=os.getpid())
        self._active: dict[str, Run] = {}
        """By thread: the runs that go on here."""

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        agents: Sequence[Agent],
        durability: Durability = "full",
        effects: Effects | None = None,
    ) -> Self:
        """Open the log at `path`, which is made if there is none.

        Raises:
            DefinitionError: two agents have the same name.
            LogError: as `Log.open`.
        """
        log = Log.open(path, durability=durability)
        try:
            return cls(log, agents, effects or Effects())
        except BaseException:
            log.close()
            raise

    async def start(
        self,
        agent: str,
        prompt: str | Sequence[Message],
        *,
        thread: str | None = None,
        facts: ThreadFacts | None = None,
    ) -> Run:
        """Start a run: it is in the log when this returns, and goes on by itself.

        `thread` is made if it is new; without it the run gets a thread of its own.

        Raises:
            RunError: there is no such agent, or a run goes on on this thread.
            ContentError: a message cannot be kept; nothing was written.
            VersionConflict: another process has written to the thread at this moment.
        """
        if agent not in self._agents:
            raise RunError(f"there is no agent {agent!r} here; there are {sorted(self._agents)}")
        thread_id = thread or self._effects.new_id()
        if active := self._active.get(thread_id):
            raise RunError(f"run {active.run_id!r} goes on on thread {thread_id!r}: wait for it")
        identity = RunIdentity(self._effects.new_id(), thread_id, epoch=1)
        run = self._active[thread_id] = Run(identity)
        self._tasks.start_soon(self._run, run, identity, self._agents[agent], prompt, facts)
        await run.started()
        return run

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

    def state(self, thread: str, at: int | None = None) -> Any:
        """The state document of a thread. Raises as `Log.state`."""
        return self.log.state(thread, at)

    def messages(self, thread: str) -> tuple[Message, ...]:
        """The conversation of a thread; none of an unknown one."""
        return replay(self.log.read(thread)).messages

    async def _run(
        self,
        run: Run,
        identity: RunIdentity,
        agent: Agent,
        prompt: str | Sequence[Message],
        facts: ThreadFacts | None,
    ) -> None:
        failure = None
        try:
            await self._execute(run, identity, agent, prompt, facts)
        except Exception as err:
            # Whatever it is, it belongs to this run alone: the others go on.
            failure = err
        finally:
            del self._active[identity.thread_id]
            run.end(failure)

    async def _execute(
        self,
        run: Run,
        identity: RunIdentity,
        agent: Agent,
        prompt: str | Sequence[Message],
        facts: ThreadFacts | None,
    ) -> None:
        thread = replay(self.log.read(identity.thread_id))
        work = Workspace(self._async_log, self._effects, Reducers(agent.reducers), identity, thread)
        if isinstance(prompt, str):
            prompt = [Message(id=work.new_id(), role="user", content=prompt, run_id=identity.run_id)]
        publisher, scope = Publisher(run), anyio.CancelScope()
        loop = Loop(agent, work, self._effects, self._executor, publisher)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publisher.publish, scope)
            with publisher, scope:
                try:
                    await loop.run(prompt, facts)
                except Exception as err:
                    # Raised in here it would come out wrapped in a group.
                    failure = err
        if failure := publisher.failure or failure:
            raise failure

    async def __aenter__(self) -> Self:
        self._async_log = await AsyncLog(self.log).__aenter__()
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            # An error of the block itself is not handed in: it would come out wrapped in a group.
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._async_log.__aexit__()
            self.log.close()

    def __enter__(self) -> Self:
        self._threads = ExitStack()
        self._portal = self._threads.enter_context(start_blocking_portal())
        self._threads.enter_context(self._portal.wrap_async_context_manager(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()
