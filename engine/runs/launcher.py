"""Executes runs, each in its own task."""

from contextlib import closing
from dataclasses import dataclass
from typing import cast

import anyio

from ...reducers.reduce import Reducers
from ...reducers.replay import Thread
from ...store.errors import LogError
from ..agents import Agent, Registered, Registry, RemoteAgent
from ..commit import Prelude, Publisher, RunIdentity, Workspace
from ..control import Mailbox
from ..loop import AgentLoop, Course, Epoch, EpochContext, Resume, Start
from ..remote import RemoteLoop
from .environment import Environment
from .execution import Execution
from .handle import Run


@dataclass(frozen=True, slots=True)
class Launch:
    """An epoch that is about to begin."""

    identity: RunIdentity
    agent: str
    registry: Registry
    opening: Start | Resume
    thread: Thread
    """Its thread, including the changesets of the prelude."""

    mailbox: Mailbox
    prelude: Prelude


def course_of(agent: Registered, context: EpochContext) -> Course:
    """Return what an epoch of an agent executes: a loop of steps, or a task on another machine."""
    if isinstance(agent, RemoteAgent):
        return RemoteLoop(agent, context)
    return AgentLoop(cast(Agent, agent), context)


class Launcher:
    """Executes runs, at most one on a thread."""

    def __init__(self, environment: Environment) -> None:
        self._env = environment
        self._is_closed = False

    async def launch(self, launch: Launch) -> Run:
        """Begin an epoch; its first append is durable on return.

        Raises:
            VersionConflict: the thread, or a stream in the condition, has another version.
            ChangesetExists: another process has begun this epoch.
            ContentError: its prompt or state cannot be stored.
        """
        run, execution = self.begin(launch)
        try:
            await execution.opening.wait_until_durable()
        except Exception:
            # Raise only when the thread is free again.
            await execution.over.wait()
            raise
        return run

    def begin(self, launch: Launch) -> tuple[Run, Execution]:
        """Begin an epoch without waiting for its first append, which behaviors may delay."""
        output_type = launch.registry.agent(launch.agent).output_type
        execution = Execution(launch.identity, launch.mailbox, launch.thread.version, output_type)
        if self._is_closed:
            # The task that called this has not been cancelled yet.
            launch.mailbox.abandon()
        self._env.tasks.start_soon(self._run, launch, execution)
        self._env.executions.add(execution)
        return self._env.handles.attach(execution), execution

    def close(self) -> None:
        """Cancel all runs executed here, and those that begin from now on, without waiting for them."""
        self._is_closed = True
        for execution in self._env.executions.active():
            execution.mailbox.abandon()

    async def _run(self, launch: Launch, execution: Execution) -> None:
        failure = None
        try:
            await self._execute(launch, execution)
        except Exception as err:
            # Any error concerns this run alone: do not let it cancel the others.
            failure = err
        finally:
            execution.finish(failure, self._env.streams)
            self._env.executions.remove(execution)
            self._release(execution)

    async def _execute(self, launch: Launch, execution: Execution) -> None:
        env, identity = self._env, launch.identity
        failure: Exception | None = None
        with env.streams.publishing(identity.run_id, identity.thread_id) as events:
            execution.events = events
            publisher = Publisher(env.log, env.appender, identity.run_id, execution.opening, events)
            epoch = self._epoch(launch, publisher)
            with closing(publisher):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(publisher.publish, execution)
                    with publisher, execution.scope:
                        try:
                            await epoch.run(launch.opening)
                        except Exception as err:
                            # Raise it outside: the task group would wrap it in an exception group.
                            failure = err
        if failure := publisher.failure or failure:
            raise failure

    def _epoch(self, launch: Launch, publisher: Publisher) -> Epoch:
        env, registry = self._env, launch.registry
        agent = env.agents.equip(launch.agent, registry)
        reducers = Reducers(agent.all_reducers())
        work = Workspace(
            publisher, env.effects, reducers, launch.identity, launch.thread, prelude=launch.prelude
        )
        context = EpochContext(
            work, env.effects, env.executor, publisher, launch.mailbox, registry.fingerprint
        )
        return Epoch(context, course_of(agent, context))

    def _release(self, execution: Execution) -> None:
        """Release the agents of a run that is no longer executed here, and wake the dispatcher."""
        if not self._is_waiting(execution):
            self._env.agents.release(execution.run_id)
        refusal = execution.opening.refusal
        if isinstance(refusal, LogError):
            # Another process may have appended meanwhile: try again.
            self._env.wakeups.retry.set()
        elif refusal is None or not self._is_queued(execution.run_id):
            self._env.wakeups.thread_free.set()

    def _is_waiting(self, execution: Execution) -> bool:
        """Return whether the run waits, as it does if its resume was refused. True if unknown."""
        if execution.ended:
            return execution.ended.status == "waiting"
        try:
            row = self._env.log.run(execution.run_id)
        except LogError:
            return True
        return row is not None and row.status == "waiting"

    def _is_queued(self, run_id: str) -> bool:
        try:
            found = self._env.log.run_status(run_id)
        except LogError:
            self._env.wakeups.retry.set()
            return True
        return found is not None and found.status == "queued"
