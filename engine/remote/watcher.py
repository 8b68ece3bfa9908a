"""A remote task until there is news of it. A stream says that there may be some; the task says what.

So nothing is lost when a stream breaks off, and a server without streams is merely asked more often.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import create_memory_object_stream, create_task_group, move_on_after
from anyio.streams.memory import MemoryObjectSendStream

from ..commit import Effects
from .mirror import Task, status, text
from .remote_error import RemoteError, lasting

if TYPE_CHECKING:
    from .client import Remote

POLL_SECONDS = 0.5
SILENCE_SECONDS = 15.0
"""For so long a stream may say nothing before the task is looked at all the same."""


@dataclass
class Watch:
    """One task."""

    remote: "Remote"
    effects: Effects
    patience: float
    tell: Callable[[str], None]
    """Told the pieces of text that a server streams."""

    def __post_init__(self) -> None:
        self._streams = self.remote.can_stream

    async def news(self, task_id: str, is_news: Callable[[Task], bool]) -> Task:
        """The task, once there is news in it.

        Raises:
            RemoteError: it is lost, or the server refuses, or stays unreachable.
        """
        while True:
            task = await lasting(lambda: self.remote.get(task_id), self.effects, self.patience)
            if is_news(task):
                return task
            if not (self._streams and await self._stirs(task, is_news)):
                await self.effects.sleep(POLL_SECONDS)

    async def over(self, task_id: str, is_over: Callable[[Task], bool]) -> Task:
        """As `news`, without a stream: for the moment before an end."""
        self._streams = False
        return await self.news(task_id, is_over)

    async def _stirs(self, task: Task, is_news: Callable[[Task], bool]) -> bool:
        """Whether the stream has said anything before it ended, or was silent for long."""
        send, receive = create_memory_object_stream[dict[str, Any]](math.inf)
        has_stirred, silence = False, move_on_after(SILENCE_SECONDS)
        async with create_task_group() as tasks:
            tasks.start_soon(self._pump, task["id"], send)
            with receive, silence:
                async for event in receive:
                    if has_stirred := self._is_stirring(event, task, is_news):
                        break
            tasks.cancel_scope.cancel()
        return has_stirred or silence.cancelled_caught

    async def _pump(self, task_id: str, send: MemoryObjectSendStream[dict[str, Any]]) -> None:
        with send:
            try:
                await self.remote.updates(task_id, send.send_nowait)
            except RemoteError as err:
                # A stream that breaks off is opened again; one that there is not is not.
                self._streams = err.kind in ("unreachable", "finished")

    def _is_stirring(self, event: dict[str, Any], task: Task, is_news: Callable[[Task], bool]) -> bool:
        if "artifactUpdate" in event:
            if told := text(event["artifactUpdate"].get("artifact", {}).get("parts", [])):
                self.tell(told)
            return False
        if "statusUpdate" in event:
            now = event["statusUpdate"]
            return status(now) != status(task) or "message" in now.get("status", {})
        return is_news(event["task"]) if "task" in event else "message" in event
