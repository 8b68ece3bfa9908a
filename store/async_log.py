"""The log behind `await`: the same writer, fed from the event loop by one thread. asyncio and trio.

A flush never blocks the loop. All that waits when the thread wakes is one commit, and all answers of a
commit come back to the loop in one call: with many appends in flight the two thread switches are shared.
"""

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any, Self, cast

import anyio
from anyio.lowlevel import current_token

from .changeset import Changeset
from .history import Entry
from .log import POLL_SECONDS, Log
from .writer import Expected, Request, request


class Pending:
    """An append that was submitted: it is in the queue behind all that were submitted before it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._answered = anyio.Event()

    @classmethod
    def answered(cls, version: int) -> Self:
        """One whose answer is known, for who keeps a log of another kind."""
        pending = cls(Request((), (), 0, {}, answer=version))
        pending._answered.set()
        return pending

    async def result(self) -> int:
        """The thread's version, once the append is durable. Raises as `Log.append` does."""
        await self._answered.wait()
        return self._request.result()


class AsyncLog:
    """Appends to and follows a `Log` from one event loop. Reads are the log's own: they are short.

    `async with AsyncLog(log)` starts the writing thread and ends it, with all that was submitted written;
    the log stays open.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self._writer = log.writable()
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=f"threadlog writer of {log.path.name}")
        self._answered: deque[Callable[[], None]] = deque()
        self._delivering = False

    async def __aenter__(self) -> Self:
        self._call_soon = _call_soon()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wakeups.put(False)
        # Shielded: what was submitted is written, however this block ends.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    async def append(
        self,
        changesets: Changeset | Iterable[Changeset],
        expected_version: Expected,
        *,
        heads: Mapping[str, int] | None = None,
        open_run: str | None = None,
    ) -> int:
        """As `Log.append`. To cancel the wait does not take the append back."""
        return await self.submit(changesets, expected_version, heads=heads, open_run=open_run).result()

    def submit(
        self,
        changesets: Changeset | Iterable[Changeset],
        expected_version: Expected,
        *,
        heads: Mapping[str, int] | None = None,
        open_run: str | None = None,
        behind: Pending | None = None,
    ) -> Pending:
        """Queue an append without waiting for it. Appends are written in the order of submission.

        If the one it is `behind` is refused, so is this one: versions alone would not tell, where somebody
        else has appended in its place.

        Raises:
            ContentError: something in it cannot be kept; nothing was queued.
        """
        wanted = request(changesets, expected_version, heads, open_run)
        wanted.behind = behind._request if behind else None
        pending = Pending(wanted)
        wanted.notify = partial(self._notify, pending._answered.set)
        self._writer.submit(wanted)
        self._wakeups.put(True)
        return pending

    async def follow(self, after: int = 0) -> AsyncGenerator[Entry, None]:
        """As `Log.follow`, without end: leave the loop to stop, on trio within `contextlib.aclosing`."""
        while True:
            news = anyio.Event()
            unlisten = self.log.listen(partial(self._call_soon, news.set))
            try:
                if not (found := self.log.entries_after(after)):
                    with anyio.move_on_after(POLL_SECONDS):
                        await news.wait()
            finally:
                unlisten()
            for entry in found:
                yield entry
                after = entry.position

    async def changes(self) -> AsyncGenerator[None, None]:
        """Whenever something was committed, here or by another process; many commits may be one change.

        Without end, and at once for the first time: leave the loop to stop, within `contextlib.aclosing`.
        """
        seen = None
        while True:
            if (now := self.log.data_version()) != seen:
                seen = now
                yield
            await anyio.sleep(POLL_SECONDS)

    def _write(self) -> None:
        while self._wakeups.get():
            self._writer.commit_waiting()
        self._writer.commit_waiting()

    def _notify(self, answer: Callable[[], None]) -> None:
        self._answered.append(answer)
        if not self._delivering:
            self._delivering = True
            self._call_soon(self._deliver)

    def _deliver(self) -> None:
        # Before the queue is emptied: an answer put in now schedules the next delivery, and none is left.
        self._delivering = False
        while self._answered:
            self._answered.popleft()()


def _call_soon() -> Callable[[Callable[[], Any]], Any]:
    """What makes this event loop call a function from any thread, without that thread waiting for it."""
    loop = current_token().native_token
    soon = getattr(loop, "call_soon_threadsafe", None) or getattr(loop, "run_sync_soon", None)
    return cast(Callable[[Callable[[], Any]], Any], soon)
