"""What a scene is played with: runs are started, followed and told something; what came back is written down.

After an error of the log the scene continues as a careful user would: it recovers, and does the next thing.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from campaign.scenes.agents import Cast
from campaign.scenes.witness import Witness
from threadlog.engine import Decision, Run, Runtime
from threadlog.engine.events.event import Event
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.store.errors import LogError, NotFound, RunError


class Stage:
    """One process, on one log."""

    def __init__(self, path: Path, witness: Witness, cast: Cast, name: str, *, is_first: bool = True) -> None:
        """`name` is unique to a case: it distinguishes remote tasks."""
        self.path = path
        self.name = name
        self.witness = witness
        self.is_hopeless = False
        """Whether the disk stays broken: then do not wait long for something that may never happen."""
        self.cast = cast
        self.cast.enter(witness, is_first=is_first)
        self._listeners = 0

    @asynccontextmanager
    async def open(self, orphans: OrphanPolicy = "stop") -> AsyncIterator[Runtime]:
        async with Runtime.open(self.path, agents=self.cast.agents, orphans=orphans) as runtime:
            self.runtime = runtime
            yield runtime

    async def do(self, step: Callable[..., Awaitable[Any]], *arguments: Any) -> bool:
        """Whether a step was done; else all is recovered that can be."""
        try:
            await step(*arguments)
            return True
        except (LogError, RunError, NotFound) as err:
            self.witness.say("refused", step=step.__name__, error=repr(err))
        try:
            await self.runtime.recover()
        except LogError as err:
            self.witness.say("refused", step="recover", error=repr(err))
        return False

    async def start(self, agent: str, thread: str, id: str, prompt: str = "go", **how: Any) -> Run:
        run = await self.runtime.start(agent, prompt, thread=thread, id=id, **how)
        self.witness.say("started", run=id)
        return run

    async def whole(self, agent: str, thread: str, id: str, prompt: str = "go") -> None:
        """A run up to its end, or to where it waits."""
        await self.ended(await self.start(agent, thread, id, prompt))

    async def ended(self, run: Run) -> None:
        """The events of one epoch of a run, and its result."""
        with self._patience():
            await self.told(run.run_id, run)
            self.witness.result(await run.result())

    async def told(self, run_id: str, events: AsyncIterator[Event] | Run) -> None:
        """All events that a subscriber of a run receives."""
        self._listeners += 1
        listener = f"{os.getpid()}-{self._listeners}"
        async for event in events:
            if event.cursor:
                self.witness.tell(listener, run_id, event)

    async def told_all(self, run_id: str) -> None:
        """All that was told of a run, until it is done."""
        with self._patience():
            await self.told(run_id, self.runtime.subscribe(run_id))

    def _patience(self) -> anyio.CancelScope:
        return anyio.move_on_after(1 if self.is_hopeless else None)

    async def is_at_work(self, run: Run) -> None:
        """Return when a tool has begun that is never done, or the run is over."""

        failed: list[LogError] = []

        async def over() -> None:
            try:
                await self.ended(run)
            except LogError as err:
                # Raised in here it would come out wrapped in a group.
                failed.append(err)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(over)
            await self.cast.at_work.wait()
            tasks.cancel_scope.cancel()
        self.cast.at_work = anyio.Event()
        if failed:
            raise failed[0]

    async def decide(self, run_id: str, decisions: list[Decision]) -> None:
        await self.runtime.decide(run_id, decisions)
        for decision in decisions:
            self.witness.say("decided", run=run_id, target=decision.target, approved=decision.approved)

    async def steer(self, run_id: str, text: str) -> None:
        await self.runtime.steer(run_id, text, id=text)
        self.witness.say("steered", run=run_id, text=text)

    async def cancel(self, run_id: str) -> None:
        if await self.runtime.cancel(run_id):
            self.witness.say("cancelled", run=run_id)
