"""Starts queued runs, each when its thread is free."""

import logging

from ...reducers.replay import replay
from ...store.append import Condition
from ...store.changeset import ControlEntry, RunRequest
from ...store.errors import RunError, ThreadlogError
from ...store.listing import QueuedRow
from ..commit import Prelude, RunIdentity
from ..loop import Start
from .environment import Environment
from .launcher import Launch, Launcher

log = logging.getLogger(__name__)


class QueuedRuns:
    """The queues of all threads."""

    def __init__(self, environment: Environment, launcher: Launcher) -> None:
        self._env = environment
        self._launcher = launcher
        self._may_have_any = True

    def notice(self, entry: ControlEntry | None) -> None:
        """Note an appended command, which may have queued a run."""
        self._may_have_any |= entry is not None and entry.kind == "start"

    def start_due(self) -> None:
        """Start the first run of every queue whose thread is free, if its agent is registered here.

        Raises:
            LogError: the log cannot be read.
        """
        env = self._env
        queued = env.log.queued() if self._may_have_any else []
        self._may_have_any = bool(queued)
        busy = {row.thread_id for row in env.log.open_runs()} if queued else set()
        for row in queued:
            if row.thread_id not in busy and env.executions.is_free(row.thread_id, row.run_id):
                try:
                    self._start(row)
                except ThreadlogError as err:
                    log.debug("run %s does not start here: %s", row.run_id, err)
            # Keep the order of the queue: no later run starts before the first one.
            busy.add(row.thread_id)

    def _start(self, row: QueuedRow) -> None:
        env = self._env
        env.agents.of(row.run_id).agent(row.agent)
        mailbox = env.mailbox(row.run_id, 0)
        if mailbox.should_stop():
            # Cancelled since the queue was read.
            return
        request = self._request(row.run_id)
        thread = replay(env.log.read(row.thread_id))
        if other := thread.open_run():
            raise RunError(f"thread {row.thread_id!r} has the unfinished run {other!r}: wait for it")
        identity = RunIdentity(row.run_id, row.thread_id, 1, row.parent_run_id)
        launch = Launch(
            identity,
            row.agent,
            env.agents.pin(row.run_id),
            Start(request.messages, request.metadata, request.state),
            thread,
            mailbox,
            Prelude(condition=Condition({identity.stream: mailbox.received})),
        )
        self._launcher.begin(launch)

    def _request(self, run_id: str) -> RunRequest:
        (changeset,) = self._env.stream(run_id).read()[:1]
        if changeset.entry is None or changeset.entry.start is None:
            raise RunError(f"the control stream of run {run_id!r} does not begin with a start command")
        return changeset.entry.start
