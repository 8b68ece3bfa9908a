"""The first append of an epoch: `start` returns once it is durable."""

import anyio

from ...store.appender import Receipt
from ...store.errors import RunError
from ..events import Cursor


class Opening:
    """The first append of an epoch. It is refused if the epoch ends without one."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        """Why the epoch is not in the log, once that is known."""
        self._receipt: Receipt | None = None
        self._settled = anyio.Event()

    @property
    def is_durable(self) -> bool:
        """Whether the first append is known to be in the log."""
        return self._receipt is not None and self._receipt.is_durable()

    def record(self, receipt: Receipt) -> None:
        """Record the receipt of the first append. Later receipts are ignored."""
        if self._receipt is None:
            self._receipt = receipt
            self._settled.set()

    def close(self, reason: Exception | None) -> None:
        """Close at the end of the epoch. `reason` is why the first append is missing, if it is."""
        if not self.is_durable:
            self.refusal = reason or RunError("the run was cancelled before its start was durable")
        self._settled.set()

    async def cursor(self) -> Cursor | None:
        """Wait for the first append, and return the cursor before it. None if it was refused."""
        try:
            await self.wait_until_durable()
        except Exception:
            return None
        return Cursor.before(self._receipt.append.result().position) if self._receipt else None

    async def wait_until_durable(self) -> None:
        """Wait until the first append is durable. Raises the reason if it was refused."""
        await self._settled.wait()
        if self._receipt is not None:
            await self._receipt.result()
        elif self.refusal:
            raise self.refusal
