"""Starting a run on a thread: now, in the queue, or in place of another run."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ...reducers.replay import replay
from ...store.append import Condition
from ...store.changeset import CONTROL, ControlEntry, RunRequest
from ...store.errors import (
    ChangesetExists,
    RunError,
    ThreadAlreadyRunning,
    ThreadlogError,
    VersionConflict,
)
from ...store.listing import RunRow
from ..commit import Prelude, RunIdentity
from ..control import Mailbox
from ..loop import Start
from .cancelling import Cancelling
from .dispatcher import Dispatcher
from .environment import Environment
from .handle import Run
from .launcher import Launch, Launcher
from .placement import IfActive, Occupant, place
from .queries import Queries
from .recovery import Recovery
from .resuming import Resumer


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that is to start."""

    run_id: str
    request: RunRequest
    is_repeatable: bool
    """Whether the caller chose the id: then another process may start the same run."""

    is_anywhere: bool
    """Whether the caller left the thread open: then a run of the same id may be on another one."""


class Starter:
    """Starts runs."""

    def __init__(
        self,
        environment: Environment,
        queries: Queries,
        launcher: Launcher,
        resumer: Resumer,
        dispatcher: Dispatcher,
        recovery: Recovery,
        cancelling: Cancelling,
    ) -> None:
        self._env = environment
        self._queries = queries
        self._launcher = launcher
        self._resumer = resumer
        self._dispatcher = dispatcher
        self._recovery = recovery
        self._cancelling = cancelling

    async def start(self, asked: Asked, if_active: IfActive) -> Run:
        """Start a run, or find the one that has its id: it is in the log on return.

        Raises:
            ThreadAlreadyRunning: another run is active on the thread, and `if_active` is `reject`.
            RunOver: the parent is finished or cancelled.
            NotFound: there is no such parent.
            RunError: the agent is unknown, the thread's name is reserved, or the id is another run's.
            ActionError, ContentError: what it starts with cannot be stored; nothing was written.
        """
        request = asked.request
        self._env.agents.of(request.parent_run_id).agent(request.agent)
        if request.thread_id.startswith(CONTROL):
            raise RunError(f"thread names that begin with {CONTROL!r} are reserved: use another one")
        while True:
            if asked.is_repeatable and (known := await self._known(asked)):
                return known
            if run := await self._placed(asked, if_active):
                return run

    async def _known(self, asked: Asked) -> Run | None:
        """The run that has the id, if it was started before."""
        if execution := self._env.executions.of(asked.run_id):
            # It may be refused: then it never existed.
            with suppress(ThreadlogError):
                await execution.opening.wait_until_durable()
        found = self._env.log.run_status(asked.run_id)
        if found is None:
            return None
        if found.status == "starting" and not self._env.executions.of(asked.run_id):
            raise RunError(f"run id {asked.run_id!r} has commands of a run that never began: use a new id")
        is_elsewhere = not asked.is_anywhere and found.thread_id != asked.request.thread_id
        if is_elsewhere or (found.run and found.agent != asked.request.agent):
            raise RunError(
                f"run id {asked.run_id!r} is already used by agent {found.agent!r} on thread "
                f"{found.thread_id!r}: use a new id"
            )
        return self._queries.get_run(asked.run_id)

    async def _placed(self, asked: Asked, if_active: IfActive) -> Run | None:
        """Start or queue a run, as its thread allows. None if that has changed meanwhile."""
        request = asked.request
        if request.parent_run_id:
            self._queries.status(request.parent_run_id)
        occupant = await self._occupant(request.thread_id)
        match place(occupant, if_active):
            case "recover":
                assert occupant
                await self._recovery.recover(occupant.run_id)
                return None
            case "reject":
                assert occupant
                raise self._rejection(request.thread_id, occupant)
            case "queue":
                return await self._queue(asked)
            case "start":
                return await self._begin(asked, supersedes=False)
            case "supersede":
                return await self._begin(asked, supersedes=True)

    async def _occupant(self, thread_id: str) -> Occupant | None:
        """The run that has the thread, or the first in its queue."""
        execution = self._env.executions.on(thread_id)
        if execution and await self._dispatcher.is_running(execution) and not execution.is_stopped:
            return Occupant(execution.run_id, "running")
        active = next(iter(self._queries.active_runs(thread_id)), None)
        if active is None:
            return None
        return Occupant(active.run_id, active.status, await self._recovery.can_recover(active.run_id))

    def _rejection(self, thread_id: str, occupant: Occupant) -> ThreadAlreadyRunning:
        calls = self._queries.pending(occupant.run_id) if occupant.status == "waiting" else []
        tickets = [call.suspension.ticket for call in calls if call.suspension]
        return ThreadAlreadyRunning(thread_id, occupant.run_id, occupant.status, tickets)

    async def _queue(self, asked: Asked) -> Run:
        env, run_id, request = self._env, asked.run_id, asked.request
        entry = ControlEntry(id="start", kind="start", start=request)
        run = env.handle(run_id, request.thread_id, request.agent)
        head = 0

        def choice(_: Sequence[ControlEntry]) -> list[ControlEntry]:
            nonlocal head
            # The head first: if another process starts this very run after it, nothing is added.
            head = env.log.head(request.thread_id)
            return [] if env.log.run(run_id) else [entry]

        def condition() -> Condition:
            holds = env.open_parent(request.parent_run_id)
            return holds.and_head(request.thread_id, head) if asked.is_repeatable else holds

        await env.stream(run_id).add(choice, condition)
        return run

    async def _begin(self, asked: Asked, *, supersedes: bool) -> Run | None:
        """Begin a run; the one that has its thread ends with the same append. None if that has changed."""
        env, request = self._env, asked.request
        if execution := env.executions.of(asked.run_id):
            # Another caller has started this very run: find it when it is in the log, or try again.
            with suppress(ThreadlogError):
                await execution.opening.wait_until_durable()
            if not execution.opening.is_durable:
                await execution.over.wait()
            return None
        thread = replay(env.log.read(request.thread_id))
        # From what was read, after which the run begins: what is listed may be newer, or older.
        busy = thread.open_run()
        if busy and not supersedes:
            return None
        old = env.log.run(busy) if busy else None
        identity = RunIdentity(asked.run_id, request.thread_id, 1, request.parent_run_id)
        holds = env.open_parent(request.parent_run_id)
        launch = Launch(
            identity,
            request.agent,
            env.agents.start(asked.run_id, request.parent_run_id),
            Start(request.messages, request.metadata, request.state),
            thread,
            Mailbox(),
            # Of a repeatable one: no other process has queued it.
            Prelude(condition=holds.and_head(identity.stream, 0) if asked.is_repeatable else holds),
        )
        try:
            run = await self._launcher.launch(self._resumer.superseding(launch, old) if old else launch)
        except (VersionConflict, ChangesetExists):
            # The thread has changed: look again.
            return None
        if old:
            await self._superseded(old, asked.run_id)
        return run

    async def _superseded(self, old: RunRow, by: str) -> None:
        if execution := self._env.executions.of(old.run_id):
            execution.stop()
        self._env.agents.release(old.run_id)
        await self._cancelling.cancel_tree(old.run_id, None, f"run {by} took its place")
