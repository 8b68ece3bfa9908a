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
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from os import PathLike
from typing import Any, Self

import anyio
from anyio.from_thread import start_blocking_portal

from ..reducers.reduce import Reducers
from ..reducers.replay import Thread, replay
from ..reducers.tool_call import ToolCallState, pending
from ..store.async_log import AsyncLog
from ..store.changeset import Executor, Message, ThreadFacts
from ..store.database import Durability
from ..store.errors import ChangesetExists, DefinitionError, NotFound, RunError, VersionConflict
from ..store.listing import RunRow
from ..store.log import Log
from .agent import Agent
from .closing import cancel_waiting
from .control import Control
from .decision import Answers, Decision, refuse_unknown
from .effects import Effects
from .events import RunResult
from .loop import Loop, Resume, Start
from .publish import Publisher
from .run import Run
from .workspace import RunIdentity, Workspace


class Runtime:
    """Runs agents on one log. Open it with `async with`, or with `with` where there is no event loop.

    When the block is left, runs that still go on are cancelled, and the log says so. Nothing is waited for
    then: a behavior that must await something all the same does so in a shielded scope of its own.
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
            RunError: there is no such agent, or a run goes on or waits on this thread.
            ContentError: a message cannot be kept; nothing was written.
            VersionConflict: another process has written to the thread at this moment.
        """
        found = self._agent(agent)
        thread_id = thread or self._effects.new_id()
        # Read before it is looked at: what comes in between is a conflict when the run begins.
        history = replay(self.log.read(thread_id))
        self._refuse_busy(thread_id)
        identity = RunIdentity(self._effects.new_id(), thread_id, epoch=1)
        if isinstance(prompt, str):
            id = f"{identity.run_id}:prompt"
            prompt = [Message(id=id, role="user", content=prompt, run_id=identity.run_id)]
        work = self._workspace(identity, history, found)
        return await self._launch(work, found, Start(tuple(prompt), facts), Control())

    async def resume(self, run_id: str, decisions: Sequence[Decision] = ()) -> Run:
        """Let a run that waits go on, in its next epoch: also one that another process has started.

        Raises:
            NotFound: there is no such run.
            RunError: it does not wait, a decision is for none of its calls, its agent is not here, or
                somebody else has resumed it at this moment.
            VersionConflict: another process has written to its thread at this moment.
        """
        row = self._row(run_id)
        self._refuse_active(row.thread_id)
        thread = replay(self.log.read(row.thread_id))
        facts = thread.runs[run_id]
        if facts.status != "waiting":
            raise RunError(f"run {run_id!r} does not wait: it is {facts.status}")
        refuse_unknown(decisions, thread.state, run_id)
        agent = self._agent(row.agent or "")
        identity = RunIdentity(run_id, row.thread_id, epoch=row.epoch + 1)
        work = self._workspace(identity, thread, agent)
        return await self._launch(work, agent, Resume(facts), Control(decisions))

    async def decide(self, run_id: str, decisions: Sequence[Decision]) -> Run | None:
        """Answer suspended calls of a run; if it waits, it goes on. The same answer twice counts once.

        A run that goes on here takes the decisions in at its next step; one for a call that does not ask
        yet is kept until it does. None if all was decided before, and the run does not go on here.

        Raises:
            NotFound, RunError, VersionConflict: as `resume`; a different answer to a decided call, too.
            ContentError: a decision cannot be kept. Whatever is raised, nothing was written.
        """
        answers = Answers(self.log.read_run(run_id))
        active = self._active_run(run_id)
        if active:
            answers.new(active.control.waiting())
        new = answers.new(decisions)
        if not new or (active and active.control.decide(new)):
            return active
        if active:
            await active.over()
        return await self.resume(run_id, new)

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run that goes on here, or waits, whoever's agent it is. False if it is over already.

        Returns when a waiting run's end is durable; a run that goes on ends as soon as it can. Cancelled
        twice it does not wait for what behaviors do at its end either.

        Raises:
            NotFound: there is no such run.
            RunError: it goes on elsewhere.
        """
        if active := self._active_run(run_id):
            if active.control.cancel():
                return True
            await active.over()
        row = self._row(run_id)
        thread = replay(self.log.read(row.thread_id))
        facts = thread.runs[run_id]
        if facts.status == "running":
            raise RunError(f"run {run_id!r} goes on elsewhere: cancel it there")
        if facts.status == "done":
            return False
        identity = RunIdentity(run_id, row.thread_id, epoch=row.epoch + 1)
        work = self._workspace(identity, thread)
        try:
            await cancel_waiting(work, facts, self._executor).result()
        except (VersionConflict, ChangesetExists):
            # Somebody else was first: it goes on now, or is over.
            return await self.cancel(run_id)
        return True

    def pending(self, run_id: str) -> list[ToolCallState]:
        """The calls of a run that wait for a person, each with its question and ticket.

        Raises:
            NotFound: there is no such run.
        """
        return pending(self.log.state(self._row(run_id).thread_id))

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

    def _agent(self, name: str) -> Agent:
        if name not in self._agents:
            raise RunError(f"there is no agent {name!r} here; there are {sorted(self._agents)}")
        return self._agents[name]

    def _row(self, run_id: str) -> RunRow:
        found = next((row for row in self.log.runs() if row.run_id == run_id), None)
        if found is None:
            raise NotFound(f"there is no run {run_id!r} in this log")
        return found

    def _workspace(self, identity: RunIdentity, thread: Thread, agent: Agent | None = None) -> Workspace:
        reducers = Reducers(agent.all_reducers() if agent else ())
        return Workspace(self._async_log, self._effects, reducers, identity, thread)

    def _active_run(self, run_id: str) -> Run | None:
        return next((run for run in self._active.values() if run.run_id == run_id), None)

    def _refuse_active(self, thread_id: str) -> None:
        if active := self._active.get(thread_id):
            raise RunError(f"run {active.run_id!r} goes on on thread {thread_id!r}: wait for it")

    def _refuse_busy(self, thread_id: str) -> None:
        self._refuse_active(thread_id)
        waiting = next((row for row in self.log.runs(thread_id) if row.status == "waiting"), None)
        if waiting:
            tickets = [call.suspension.ticket for call in self.pending(waiting.run_id) if call.suspension]
            raise RunError(
                f"run {waiting.run_id!r} waits on thread {thread_id!r} for {tickets}: decide or cancel it"
            )

    async def _launch(self, work: Workspace, agent: Agent, opening: Start | Resume, control: Control) -> Run:
        run = self._active[work.identity.thread_id] = Run(work.identity, control)
        self._tasks.start_soon(self._run, run, work, agent, opening)
        try:
            await run.started()
        except ChangesetExists as err:
            # Both would be the same epoch: the ids of its changesets are made from it.
            raise RunError(f"run {run.run_id!r} was resumed by somebody else at this moment") from err
        return run

    async def _run(self, run: Run, work: Workspace, agent: Agent, opening: Start | Resume) -> None:
        failure = None
        try:
            await self._execute(run, work, agent, opening)
        except Exception as err:
            # Whatever it is, it belongs to this run alone: the others go on.
            failure = err
        finally:
            del self._active[run.thread_id]
            run.end(failure)

    async def _execute(self, run: Run, work: Workspace, agent: Agent, opening: Start | Resume) -> None:
        publisher, scope = Publisher(run), anyio.CancelScope()
        loop = Loop(agent, work, self._effects, self._executor, publisher, run.control)
        failure: Exception | None = None

        def stop() -> None:
            scope.cancel()
            run.control.abandon()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publisher.publish, stop)
            with publisher, scope:
                try:
                    await loop.run(opening)
                except Exception as err:
                    # Raised in here it would come out wrapped in a group.
                    failure = err
        if failure := publisher.failure or failure:
            raise failure

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.callback(self.log.close)
            self._async_log = await opening.enter_async_context(AsyncLog(self.log))
            for model in {
                id(model): model for agent in self._agents.values() for model in agent.models()
            }.values():
                # One that keeps connections keeps them as long as the runtime is open.
                if isinstance(model, AbstractAsyncContextManager):
                    await opening.enter_async_context(model)
            self._tasks = await anyio.create_task_group().__aenter__()
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        for run in self._active.values():
            run.control.abandon()
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
