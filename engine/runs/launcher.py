"""Executing runs: each in a task of its own, on the newest version of its thread."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from ...reducers.reduce import Reducers
from ...reducers.replay import Thread
from ...store.async_log import AsyncLog
from ...store.changeset import Changeset, Executor
from ..agents import Agent, Registered, Registry, RemoteAgent
from ..commit import Condition, Effects, LogJournal, Publisher, RunIdentity, Workspace
from ..control import Control
from ..events import Streams
from ..loop import Loop, Resume, Start
from ..remote import RemoteLoop
from .handle import Run


@dataclass(frozen=True, slots=True)
class Launch:
    """An epoch of a run that is to begin."""

    identity: RunIdentity
    agent: Registered
    registry: Registry
    """What the agent comes from."""

    opening: Start | Resume
    thread: Thread
    """The thread as it is then: with `before`."""

    control: Control = field(default_factory=Control)
    before: Sequence[Changeset] = ()
    """What is appended together with the first changeset, right before it."""

    condition: Condition = field(default_factory=Condition)
    """What must hold when it begins."""


@dataclass(slots=True)
class Execution:
    """A run that goes on here."""

    run: Run
    epoch: int
    control: Control
    scope: anyio.CancelScope
    is_stopped: bool = False
    """Whether its thread is somebody else's: what it still waits for keeps that one from nothing."""

    over: anyio.Event = field(default_factory=anyio.Event)
    """Set when it does not go on here any more; the run itself may have begun anew by then."""

    def stop(self) -> None:
        """Cut it off where it is: its thread is somebody else's."""
        self.is_stopped = True
        self.scope.cancel()
        self.control.abandon()


def loop_of(agent: Registered, *around: Any) -> Loop | RemoteLoop:
    """How a run of an agent goes: here, or by following it where it is."""
    return RemoteLoop(agent, *around) if isinstance(agent, RemoteAgent) else Loop(cast(Agent, agent), *around)


class Launcher:
    """Executes runs, at most one on a thread."""

    def __init__(
        self,
        log: AsyncLog,
        streams: Streams,
        effects: Effects,
        executor: Executor,
        tasks: TaskGroup,
        equipped: Callable[[Registered, Registry], Registered],
        ended: Callable[[Run], None],
    ) -> None:
        self._log = log
        self._streams = streams
        self._effects = effects
        self.executor = executor
        self._tasks = tasks
        self.equipped = equipped
        """An agent as it runs: with what it needs of the others."""
        self._ended = ended
        self.active: dict[str, Execution] = {}
        """By run: those that go on here. One that lost its thread may be among them for a moment."""
        self._is_closed = False

    def of(self, run_id: str) -> Execution | None:
        """A run, if it goes on here."""
        return self.active.get(run_id)

    def on(self, thread_id: str) -> Execution | None:
        """The run that goes on here on a thread."""
        going = (each for each in self.active.values() if not each.is_stopped)
        return next((each for each in going if each.run.thread_id == thread_id), None)

    def is_free(self, thread_id: str, run_id: str) -> bool:
        """Whether a run may begin or go on here: its thread is free, and nothing of the run is left."""
        return run_id not in self.active and not self.on(thread_id)

    async def launch(self, launch: Launch, run: Run) -> None:
        """Return once the run is in the log; it goes on by itself.

        Raises:
            VersionConflict: the thread, or a stream in `heads`, is at another version.
            ChangesetExists: somebody else has begun this epoch.
            ContentError: what it starts with cannot be kept.
        """
        self.begin(launch, run)
        await run.started()

    def begin(self, launch: Launch, run: Run) -> None:
        """Let a run begin by itself, if it can: behaviors may take their time before it is in the log."""
        scope = anyio.CancelScope()
        run.launch(launch.agent.output_type)
        self.active[launch.identity.run_id] = Execution(run, launch.identity.epoch, launch.control, scope)
        if self._is_closed:
            # Whoever wants it was not cut off yet.
            launch.control.abandon()
        self._tasks.start_soon(self._run, launch, run, scope)

    def close(self) -> None:
        """Cancel all runs that go on here, and those that begin from now on; wait for nothing."""
        self._is_closed = True
        for execution in self.active.values():
            execution.control.abandon()

    async def _run(self, launch: Launch, run: Run, scope: anyio.CancelScope) -> None:
        failure = None
        try:
            await self._execute(launch, run, scope)
        except Exception as err:
            # Whatever it is, it belongs to this run alone: the others go on.
            failure = err
        finally:
            execution = self.active.pop(launch.identity.run_id)
            run.end(failure)
            execution.over.set()
            self._ended(run)

    async def _execute(self, launch: Launch, run: Run, scope: anyio.CancelScope) -> None:
        identity, thread = launch.identity, launch.thread
        publisher = Publisher(LogJournal(self._log, launch.before, launch.condition), run)
        agent = self.equipped(launch.agent, launch.registry)
        reducers = Reducers(agent.all_reducers())
        work = Workspace(publisher, self._effects, reducers, identity, thread)
        registry = launch.registry.fingerprint
        loop = loop_of(agent, work, self._effects, self.executor, publisher, launch.control, registry)
        failure: Exception | None = None
        telling = self._streams.telling(identity.run_id, identity.thread_id, thread.version)
        with closing(publisher), telling as broadcast:
            run.begin(broadcast, thread.version)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(publisher.publish, self.active[identity.run_id].stop)
                with publisher, scope:
                    try:
                        await loop.run(launch.opening)
                    except Exception as err:
                        # Raised in here it would come out wrapped in a group.
                        failure = err
        if failure := publisher.failure or failure:
            raise failure
