"""Later epochs of runs, and launches that supersede a run."""

from collections.abc import Sequence
from dataclasses import replace

from ...reducers.reduce import Reducers
from ...reducers.replay import Thread, replay
from ...store.changeset import Message
from ...store.errors import RunError
from ...store.listing import RunRow
from ..commit import Prelude, RunIdentity, Workspace
from ..control import cancel_waiting_run, end_superseded_run
from ..loop import Resume
from .environment import Environment
from .handle import Run
from .launcher import Launch, Launcher


class Resumer:
    """Resumes, cancels and supersedes runs that are in the log."""

    def __init__(self, environment: Environment, launcher: Launcher) -> None:
        self._env = environment
        self._launcher = launcher

    async def resume(self, row: RunRow, messages: Sequence[Message] = (), parent: str | None = None) -> Run:
        """Begin the next epoch of a run that waits or was stopped. `parent` is the run that resumes it.

        Raises:
            RunError: its agent is not registered here, or its thread has a running run or a later run.
            VersionConflict, ChangesetExists: another process appended first.
        """
        env, thread = self._env, replay(self._env.log.read(row.thread_id))
        if row.run_id != list(thread.runs)[-1]:
            raise RunError(f"thread {row.thread_id!r} has a later run than {row.run_id!r}: start a new one")
        execution = env.executions.of(row.run_id)
        if execution and execution.epoch == row.epoch:
            # The log has its end, so this execution is about to finish.
            await execution.over.wait()
        if not env.executions.is_free(row.thread_id, row.run_id):
            raise RunError(f"thread {row.thread_id!r} has a running run: wait for it")
        env.agents.of(row.run_id).agent(row.agent or "")
        launch = Launch(
            _next_epoch(row, parent),
            row.agent or "",
            env.agents.pin(row.run_id),
            Resume(thread.runs[row.run_id], messages),
            thread,
            env.mailbox(row.run_id, row.control),
            Prelude(condition=env.parent_condition(parent)),
        )
        return await self._launcher.launch(launch)

    async def cancel_waiting(self, row: RunRow) -> None:
        """End a waiting run as cancelled. This does not need its agent.

        Raises:
            VersionConflict, ChangesetExists: another process appended first.
        """
        env, thread = self._env, replay(self._env.log.read(row.thread_id))
        work = Workspace(env.appender, env.effects, Reducers(), _next_epoch(row), thread)
        mailbox = env.mailbox(row.run_id, row.control)
        await cancel_waiting_run(work, mailbox, thread.runs[row.run_id], env.executor)
        env.agents.release(row.run_id)

    def supersede(self, launch: Launch, old: RunRow) -> Launch:
        """Return the launch with the end of an old run, which it appends together with its own start."""
        mailbox = self._env.mailbox(old.run_id, old.control)
        identity = RunIdentity(old.run_id, old.thread_id, old.epoch, old.parent_run_id)
        end = end_superseded_run(
            identity, launch.thread, mailbox, self._env.effects, by=launch.identity.run_id
        )
        thread: Thread = replay([end.changeset], base=launch.thread)
        condition = launch.prelude.condition.and_head(identity.stream, mailbox.received)
        return replace(launch, thread=thread, prelude=Prelude((end,), condition))


def _next_epoch(row: RunRow, parent: str | None = None) -> RunIdentity:
    return RunIdentity(row.run_id, row.thread_id, row.epoch + 1, parent or row.parent_run_id)
