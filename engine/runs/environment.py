"""What the parts of one runtime share."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ...store.append import Condition
from ...store.appender import Appender
from ...store.changeset import Executor
from ...store.errors import RunError, RunOver
from ...store.log import Log
from ..commit import Effects
from ..control import ControlStream, Mailbox
from ..events import Streams
from .execution import Executions
from .handle import Handles, Run
from .run_agents import RunAgents
from .wakeups import Wakeups


class Tasks:
    """The background tasks of a runtime, from when it is entered until it is left."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None

    @property
    def is_open(self) -> bool:
        return self._group is not None

    def require_open(self) -> TaskGroup:
        """Return the task group.

        Raises:
            RunError: the runtime is not open.
        """
        if self._group is None:
            raise RunError("the runtime is not open: use it inside `async with Runtime.open(...)`")
        return self._group

    def start_soon(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Start a task. Raises `RunError` if the runtime is not open."""
        self.require_open().start_soon(work, *arguments)

    async def open(self) -> None:
        self._group = await anyio.create_task_group().__aenter__()

    async def close(self) -> None:
        """Wait for all tasks, and for those that they start."""
        try:
            # Do not pass in the error of the block: the task group would wrap it in an exception group.
            await self.require_open().__aexit__(None, None, None)
        finally:
            self._group = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The log, the agents and the runs of one runtime."""

    log: Log
    appender: Appender
    effects: Effects
    executor: Executor
    """This runtime, as the executor of runs."""

    agents: RunAgents
    streams: Streams
    handles: Handles
    executions: Executions
    wakeups: Wakeups = field(default_factory=Wakeups)
    tasks: Tasks = field(default_factory=Tasks)

    def stream(self, run_id: str) -> ControlStream:
        """Return the control stream of a run."""
        return ControlStream(self.log, self.appender, self.effects, run_id)

    def mailbox(self, run_id: str, applied: int) -> Mailbox:
        """Return a mailbox with the commands that a run has not applied."""
        mailbox = Mailbox(applied)
        mailbox.receive(self.stream(run_id).read(after=applied))
        return mailbox

    def handle(self, run_id: str, thread_id: str, agent: str | None) -> Run:
        """Return the handle of a run."""
        registry = self.agents.of(run_id)
        output_type = registry.agent(agent).output_type if agent and agent in registry else None
        return self.handles.of(run_id, thread_id, output_type)

    def parent_condition(self, parent: str | None) -> Condition:
        """Return the condition for appending a child's start: its parent is open and has no new commands.

        Thus no child starts after its parent was cancelled, and cancelling finds every child.

        Raises:
            RunOver: the parent is cancelled.
        """
        found = self.log.run_status(parent) if parent else None
        if parent is None or found is None:
            return Condition(open_run=parent)
        if found.is_cancelled:
            raise RunOver(parent, "cancelled")
        return Condition({self.stream(parent).name: found.commands}, parent)
