"""Everything a run asks of the world goes through one object: time, ids, models, tools, what behaviors ask.

The loop itself is a function of what this object answers, and answers are data: an effect's outcome, its
error included. Nothing else in the engine reads a clock, sleeps, or makes an id.
"""

import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID, uuid5

import anyio

from ...store.document import dumps
from ...store.errors import in_words
from ..agents import Tool, ToolAnswer, ToolContext
from ..models import Model, ModelError, ModelRequest, Part

_NAMES = UUID("5b1f0d0e-6c1c-5c0e-9d0f-7468726c6f67")


def named_id(*names: str) -> str:
    """The id that belongs to these names, in every process. Source: RFC 9562, UUID version 5."""
    return str(uuid5(_NAMES, dumps(list(names)).decode()))


class Effects(Protocol):
    """The world as a run sees it: `SystemEffects`, or what a test or a replay hands in."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        ...

    def clock(self) -> Callable[[], int]:
        """The clock of one epoch: the time of day as it begins, and from then on the time that passes.

        Setting the machine's clock changes neither the order of what a run did nor how long it took.
        """
        ...

    def mark(self, what: str) -> int:
        """A moment to measure from: the start of `what`, a call's id or an attempt's."""
        ...

    def since(self, what: str, mark: int) -> int:
        """Microseconds since the mark of `what`."""
        ...

    def new_id(self) -> str:
        """An id that no other process makes, and that sorts by time."""
        ...

    def jitter(self, seconds: float, part: float) -> float:
        """A wait made longer or shorter by up to `part` of it, so that many do not return at once."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def infer(self, model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
        """Ask a model: the parts of its answer as they come.

        Raises:
            ModelError: it did not answer, or broke off; of the kind `unknown` for whatever else it raised.
        """
        ...

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> ToolAnswer:
        """Call a tool and return its outcome. An error of the tool is an outcome, too."""
        ...

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the world for a behavior. Raises whatever `call` raises."""
        ...


class SystemEffects:
    """The real world."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def clock(self) -> Callable[[], int]:
        # Time in which the machine sleeps may not count.
        begun, mark = self.now(), self.mark("clock")
        return lambda: begun + self.since("clock", mark)

    def mark(self, what: str) -> int:
        return time.monotonic_ns()

    def since(self, what: str, mark: int) -> int:
        return (time.monotonic_ns() - mark) // 1000

    def new_id(self) -> str:
        """Source: RFC 9562, UUID version 7."""
        milliseconds = time.time_ns() // 1_000_000
        value = int.from_bytes(os.urandom(16), "big")
        value = milliseconds << 80 | value & (1 << 80) - 1
        return str(UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))

    def jitter(self, seconds: float, part: float) -> float:
        return seconds * (1 + part * random.uniform(-1, 1))

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def infer(self, model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
        return stream_answer(model, request)

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> ToolAnswer:
        return await tool.answer(context, arguments)

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()


async def stream_answer(model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
    """The parts of a model's answer; whatever it raises is a `ModelError`."""
    stream = model.stream(request)
    try:
        async for part in stream:
            yield part
    except ModelError:
        raise
    except Exception as err:
        raise ModelError("unknown", in_words(err)) from err
    finally:
        # Not left to the garbage collector: it may hold a connection.
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
