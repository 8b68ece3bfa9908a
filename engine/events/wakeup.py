"""A flag that one task waits for."""

import anyio


class Wakeup:
    """A flag that one task waits for; waiting resets it. It may be made outside the event loop."""

    def __init__(self) -> None:
        self._is_set = False
        self._event: anyio.Event | None = None
        """What the waiting task waits for: made by it, so that it belongs to its event loop."""

    def set(self) -> None:
        self._is_set = True
        if self._event:
            self._event.set()

    async def wait(self) -> None:
        """Return when the flag is set, and reset it."""
        if not self._is_set:
            self._event = anyio.Event()
            await self._event.wait()
        self._is_set, self._event = False, None
