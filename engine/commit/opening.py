"""The opening of an epoch: its first append, which `start` waits for."""

import anyio

from ...store.appender import Receipt
from ...store.errors import RunError
from ..events import Cursor


class Opening:
    """Whether an epoch is in the log. It has failed if it ends before its first append."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        """Why the epoch is not in the log."""
        self._receipt: Receipt | None = None
        self._settled = anyio.Event()

    @property
    def is_durable(self) -> bool:
        """Whether the first append is known to be in the log."""
        return self._receipt is not None and self._receipt.is_durable()

    def record(self, receipt: Receipt) -> None:
        """Note the first append of the epoch; later ones are ignored."""
        if self._receipt is None:
            self._receipt = receipt
            self._settled.set()

    def close(self, reason: Exception | None) -> None:
        """Note that the epoch is over. If it is not in the log, this is why."""
        if not self.is_durable:
            self.refusal = reason or RunError("the run was cancelled before its start was written")
        self._settled.set()

    async def cursor(self) -> Cursor | None:
        """Return the cursor before the epoch once it is in the log; None if it was refused."""
        try:
            await self.wait_until_durable()
        except Exception:
            return None
        return Cursor.before(self._receipt.append.result().position) if self._receipt else None

    async def wait_until_durable(self) -> None:
        """Return once the first append is durable. Raises why it is not in the log."""
        await self._settled.wait()
        if self._receipt is not None:
            await self._receipt.result()
        elif self.refusal:
            raise self.refusal
