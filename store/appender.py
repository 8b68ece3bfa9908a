"""Appending from an event loop (asyncio or trio): the writer of a log, fed through one thread.

A flush never blocks the loop. All appends that wait when the thread wakes are one commit, and all answers of
a commit reach the loop in one call: concurrent appends share the two thread switches.
"""

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import partial
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any, Self, cast

import anyio
from anyio.lowlevel import current_token

from .append import Append, Condition, Expected, Written
from .changeset import Changeset
from .following import POLL_SECONDS
from .log import Log


class Receipt:
    """The pending answer of a submitted append."""

    def __init__(self, append: Append) -> None:
        self.append = append
        self._answered = anyio.Event()

    @classmethod
    def settled(cls, append: Append, version: int) -> Self:
        """Return a receipt that is answered already, for journals other than a log."""
        append.answer = Written(version, 0)
        receipt = cls(append)
        receipt._answered.set()
        return receipt

    async def result(self) -> Written:
        """Return where the append is stored, once it is durable.

        Raises:
            LogError, RunOver, ContentError, PatchError: as `Log.append`.
        """
        await self._answered.wait()
        return self.append.result()

    def is_durable(self) -> bool:
        """Whether the append is known to be in the log."""
        return self._answered.is_set() and not isinstance(self.append.answer, Exception)

    def settle(self) -> None:
        """Wake the waiting tasks: the append has its answer."""
        self._answered.set()


class Appender:
    """Appends to a log from one event loop.

    `async with Appender(log)` starts the writing thread. Leaving the block writes everything that was
    submitted and ends the thread; the log stays open.
    """

    def __init__(self, log: Log) -> None:
        self._writer = log.writable()
        self._wakeups: SimpleQueue[bool] = SimpleQueue()
        self._name = f"threadlog writer of {log.path.name}"
        self._answered: deque[Receipt] = deque()
        self._delivering = False

    async def __aenter__(self) -> Self:
        self._call_soon = _call_soon()
        self._thread = threading.Thread(target=self._write, name=self._name)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wakeups.put(False)
        # Shielded: submitted appends are written however this block ends.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    async def append(
        self,
        changesets: Changeset | Iterable[Changeset],
        expected_version: Expected,
        *,
        heads: Mapping[str, int] = MappingProxyType({}),
        open_run: str | None = None,
    ) -> int:
        """Append like `Log.append`. Cancelling the wait does not withdraw the append."""
        append = Append.of(changesets, expected_version, Condition(heads, open_run))
        return (await self.submit(append).result()).version

    def submit(self, append: Append) -> Receipt:
        """Queue an append without waiting for it. Appends are written in the order of submission."""
        receipt = Receipt(append)
        append.notify = partial(self._notify, receipt)
        self._writer.submit(append)
        self._wakeups.put(True)
        return receipt

    def _write(self) -> None:
        while self._wakeups.get():
            self._writer.commit_waiting()
        self._writer.commit_waiting()

    def _notify(self, receipt: Receipt) -> None:
        self._answered.append(receipt)
        if not self._delivering:
            self._delivering = True
            self._call_soon(self._deliver)

    def _deliver(self) -> None:
        # Before the queue is emptied: an answer added now schedules another delivery.
        self._delivering = False
        while self._answered:
            self._answered.popleft().settle()


async def changes(log: Log) -> AsyncGenerator[None, None]:
    """Yield at once, and then after every commit, of this process or another one.

    Several commits may be one change. Endless: leave the loop to stop, within `contextlib.aclosing`.
    """
    seen = None
    while True:
        if (now := log.data_version()) != seen:
            seen = now
            yield
        await anyio.sleep(POLL_SECONDS)


def _call_soon() -> Callable[[Callable[[], Any]], Any]:
    """Return the function that makes this event loop call a function from any thread, without waiting."""
    loop = current_token().native_token
    soon = getattr(loop, "call_soon_threadsafe", None) or getattr(loop, "run_sync_soon", None)
    return cast(Callable[[Callable[[], Any]], Any], soon)
