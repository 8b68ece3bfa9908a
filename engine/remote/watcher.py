"""Waits for news of a remote task. A stream only announces that there may be news; the task itself is read.

So a broken stream loses nothing, and a server without streams is polled.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import create_memory_object_stream, create_task_group, move_on_after
from anyio.streams.memory import MemoryObjectSendStream

from ..commit import Effects
from .mirror import status, text
from .protocol import StreamResponse, Task
from .remote_error import RemoteError, retry_until_answered

if TYPE_CHECKING:
    from .client import RemoteClient

POLL_SECONDS = 0.5
"""How long to wait between two reads of a task that is not streamed."""

SILENCE_SECONDS = 15.0
"""How long a stream may be silent before the task is read anyway."""


@dataclass
class Watcher:
    """Reads one task until it has changed."""

    client: "RemoteClient"
    effects: Effects
    patience: float
    on_text: Callable[[str], None]
    """Called with each piece of text that the server streams."""

    def __post_init__(self) -> None:
        self._can_stream = self.client.can_stream

    async def wait_for_news(self, task_id: str, is_news: Callable[[Task], bool]) -> Task:
        """Read the task until it has news, and return it.

        Raises:
            RemoteError: the task is lost, or the server refuses or stays unreachable.
        """
        while True:
            task = await retry_until_answered(lambda: self.client.get(task_id), self.effects, self.patience)
            if is_news(task):
                return task
            if not (self._can_stream and await self._wait_for_stream(task_id, task, is_news)):
                await self.effects.sleep(POLL_SECONDS)

    async def poll(self, task_id: str, is_over: Callable[[Task], bool]) -> Task:
        """Do the same without a stream, for a task that is about to end."""
        self._can_stream = False
        return await self.wait_for_news(task_id, is_over)

    async def _wait_for_stream(self, task_id: str, task: Task, is_news: Callable[[Task], bool]) -> bool:
        """Return whether to read the task at once: the stream announced news, or was silent too long."""
        send, receive = create_memory_object_stream[StreamResponse](math.inf)
        is_announced, silence = False, move_on_after(SILENCE_SECONDS)
        # `receive` stays open until the pump has ended: it may get another event before it is cancelled.
        with receive:
            async with create_task_group() as tasks:
                tasks.start_soon(self._pump, task_id, send)
                with silence:
                    async for event in receive:
                        if is_announced := self._may_be_news(event, task, is_news):
                            break
                tasks.cancel_scope.cancel()
        return is_announced or silence.cancelled_caught

    async def _pump(self, task_id: str, send: MemoryObjectSendStream[StreamResponse]) -> None:
        with send:
            try:
                await self.client.subscribe(task_id, send.send_nowait)
            except RemoteError as err:
                # A broken stream is opened again; a server that offers none is polled from now on.
                self._can_stream = err.kind in ("unreachable", "finished")

    def _may_be_news(self, event: StreamResponse, task: Task, is_news: Callable[[Task], bool]) -> bool:
        if "artifactUpdate" in event:
            if piece := text(event["artifactUpdate"].get("artifact", {}).get("parts", [])):
                self.on_text(piece)
            return False
        if "statusUpdate" in event:
            now = event["statusUpdate"].get("status", {})
            return status({"status": now}) != status(task) or "message" in now
        return is_news(event["task"]) if "task" in event else "message" in event
