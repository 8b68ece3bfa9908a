"""Effects with a fixed clock or with ids that name the runtime that made them."""

from collections.abc import Callable
from itertools import count

import anyio.lowlevel

from threadlog.engine import SystemEffects


class CountingEffects(SystemEffects):
    """Repeatable effects: a clock that advances per reading, counted ids, sleeps that return at once."""

    def __init__(self, jitter: Callable[[float, float], float] = lambda seconds, part: seconds) -> None:
        self._jitter = jitter
        self.slept: list[float] = []
        """Seconds of every sleep."""
        self._times = count(1_700_000_000_000_000)
        self._ids = count(1)

    def now(self) -> int:
        return next(self._times)

    def clock(self) -> Callable[[], int]:
        return self.now

    def stopwatch(self) -> Callable[[], int]:
        return lambda: 1

    def new_id(self) -> str:
        return f"id{next(self._ids)}"

    def jitter(self, seconds: float, part: float) -> float:
        return self._jitter(seconds, part)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


class NamedEffects(SystemEffects):
    """The system's clock, and ids that start with a name. The first id is the executor's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.executor = f"{name}-1"
        self._name = name
        self._made = 0

    def new_id(self) -> str:
        self._made += 1
        return f"{self._name}-{self._made}"
