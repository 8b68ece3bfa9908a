"""Starts a run on a thread: now, in the queue, or superseding another run."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ...reducers.replay import Thread, replay
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
class NewRun:
    """A run to be started."""

    run_id: str
    request: RunRequest
    has_chosen_id: bool
    """Whether the caller chose the run id. Then any process may start the same run."""

    has_chosen_thread: bool
    """Whether the caller chose the thread. If not, an earlier run with this id may be on any thread."""


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

    async def start(self, new: NewRun, if_active: IfActive) -> Run:
        """Start or queue a run, or return the one that has its id: durable on return.

        Raises:
            ThreadAlreadyRunning: another run is active on the thread, and `if_active` is `reject`.
            RunOver: the parent is finished or cancelled.
            NotFound: there is no such parent.
            RunError: the agent is unknown, the thread's name is reserved, or another run has the id.
            ActionError, ContentError: the prompt or the state cannot be stored; nothing was written.
        """
        request = new.request
        self._env.agents.of(request.parent_run_id).agent(request.agent)
        if request.thread_id.startswith(CONTROL):
            raise RunError(f"thread names that begin with {CONTROL!r} are reserved: use another name")
        while True:
            if new.has_chosen_id and (known := await self._find(new)):
                return known
            if run := await self._place(new, if_active):
                return run

    async def _find(self, new: NewRun) -> Run | None:
        """Return the run that has the id, if there is one."""
        if execution := self._env.executions.of(new.run_id):
            # If its start is refused, the run does not exist.
            with suppress(ThreadlogError):
                await execution.opening.wait_until_durable()
        found = self._env.log.run_status(new.run_id)
        if found is None:
            return None
        if found.status == "starting" and not self._env.executions.of(new.run_id):
            raise RunError(f"run id {new.run_id!r} has commands of a run that never began: use a new id")
        is_elsewhere = new.has_chosen_thread and found.thread_id != new.request.thread_id
        if is_elsewhere or (found.run and found.agent != new.request.agent):
            raise RunError(
                f"run id {new.run_id!r} is already used by agent {found.agent!r} on thread "
                f"{found.thread_id!r}: use a new id"
            )
        return self._queries.get_run(new.run_id)

    async def _place(self, new: NewRun, if_active: IfActive) -> Run | None:
        """Start or queue a run, as its thread allows. None if the thread has changed: try again."""
        request = new.request
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
                return await self._queue(new)
            case "start":
                return await self._start_now(new, supersedes=False)
            case "supersede":
                return await self._start_now(new, supersedes=True)

    async def _occupant(self, thread_id: str) -> Occupant | None:
        """Return the run that occupies a thread."""
        execution = self._env.executions.on(thread_id)
        if execution and await self._dispatcher.is_running(execution) and not execution.is_stopped:
            return Occupant(execution.run_id, "running")
        active = next(iter(self._queries.active_runs(thread_id)), None)
        if active is None:
            return None
        return Occupant(active.run_id, active.status, self._recovery.can_recover(active.run_id))

    def _rejection(self, thread_id: str, occupant: Occupant) -> ThreadAlreadyRunning:
        calls = self._queries.pending(occupant.run_id) if occupant.status == "waiting" else []
        tickets = [call.suspension.ticket for call in calls if call.suspension]
        return ThreadAlreadyRunning(thread_id, occupant.run_id, occupant.status, tickets)

    async def _queue(self, new: NewRun) -> Run:
        env, run_id, request = self._env, new.run_id, new.request
        entry = ControlEntry(id="start", kind="start", start=request)
        run = env.handle(run_id, request.thread_id, request.agent)
        head = 0

        def choice(_: Sequence[ControlEntry]) -> list[ControlEntry]:
            nonlocal head
            # Read the head first: if another process starts the same run after it, the condition fails.
            head = env.log.head(request.thread_id)
            return [] if env.log.run(run_id) else [entry]

        def condition() -> Condition:
            holds = env.parent_condition(request.parent_run_id)
            return holds.and_head(request.thread_id, head) if new.has_chosen_id else holds

        await env.stream(run_id).add(choice, condition)
        return run

    async def _start_now(self, new: NewRun, *, supersedes: bool) -> Run | None:
        """Start a run now. If it supersedes another, one append ends that run and starts this one.

        None if the thread has changed: try again.
        """
        env, request = self._env, new.request
        if execution := env.executions.of(new.run_id):
            # Another caller has started the same run: it is found once it is in the log.
            with suppress(ThreadlogError):
                await execution.opening.wait_until_durable()
            if not execution.opening.is_durable:
                await execution.over.wait()
            return None
        thread = replay(env.log.read(request.thread_id))
        # Take the open run from this version of the thread, which the append requires, not from a newer list.
        busy = thread.open_run()
        if busy and not supersedes:
            return None
        old = env.log.run(busy) if busy else None
        launch = self._launch_on(thread, new)
        try:
            run = await self._launcher.launch(self._resumer.supersede(launch, old) if old else launch)
        except (VersionConflict, ChangesetExists):
            return None
        if old:
            await self._release_superseded(old, new.run_id)
        return run

    def _launch_on(self, thread: Thread, new: NewRun) -> Launch:
        """Return the launch of a new run on a version of its thread."""
        env, request = self._env, new.request
        identity = RunIdentity(new.run_id, request.thread_id, 1, request.parent_run_id)
        holds = env.parent_condition(request.parent_run_id)
        return Launch(
            identity,
            request.agent,
            env.agents.inherit(new.run_id, request.parent_run_id),
            Start(request.messages, request.metadata, request.state),
            thread,
            Mailbox(),
            # With a chosen id, also require that no other process has queued the run.
            Prelude(condition=holds.and_head(identity.stream, 0) if new.has_chosen_id else holds),
        )

    async def _release_superseded(self, old: RunRow, by: str) -> None:
        """Stop what is left of a superseded run, and cancel its descendants."""
        if execution := self._env.executions.of(old.run_id):
            execution.stop()
        self._env.agents.release(old.run_id)
        await self._cancelling.cancel_tree(old.run_id, None, f"superseded by run {by}")
