"""Everything that a run gets from outside: time, ids, models, tools, answers for behaviors.

The loop depends only on what this object returns, and that is data, errors included. So a run can be replayed
from its log. Nothing else in the engine reads a clock, sleeps, or makes an id.
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

_NAMESPACE = UUID("5b1f0d0e-6c1c-5c0e-9d0f-7468726c6f67")


def named_id(*names: str) -> str:
    """Return the id for these names, the same in every process. Source: RFC 9562, UUID version 5."""
    return str(uuid5(_NAMESPACE, dumps(list(names)).decode()))


class Effects(Protocol):
    """The outside world of a run: `SystemEffects`, or a replacement in a test or a replay."""

    def now(self) -> int:
        """Return the time of day in microseconds since 1970, UTC."""
        ...

    def clock(self) -> Callable[[], int]:
        """Start the clock of an epoch: a function that returns the time, in microseconds since 1970, UTC.

        It reads the time of day once and measures from there. Changes of the machine's clock affect neither
        the order of a run's changesets nor the durations between them.
        """
        ...

    def stopwatch(self) -> Callable[[], int]:
        """Start a stopwatch: a function that returns the microseconds since."""
        ...

    def new_id(self) -> str:
        """Return a globally unique id. Ids sort by time."""
        ...

    def jitter(self, seconds: float, part: float) -> float:
        """Return a wait made longer or shorter by up to `part` of it, to spread retries."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def infer(self, model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
        """Ask a model, and yield the parts of its answer as they arrive.

        Raises:
            ModelError: the model failed, or its stream broke off. Unexpected errors have the kind `unknown`.
        """
        ...

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> ToolAnswer:
        """Call a tool and return its answer, with its duration. An error of the tool is an answer, too."""
        ...

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `call` returns: an effect of a behavior. Raises whatever `call` raises."""
        ...


class SystemEffects:
    """The real world."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def clock(self) -> Callable[[], int]:
        # Time during which the machine is suspended may not count.
        start, elapsed = self.now(), self.stopwatch()
        return lambda: start + elapsed()

    def stopwatch(self) -> Callable[[], int]:
        start = time.monotonic_ns()
        return lambda: (time.monotonic_ns() - start) // 1000

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
        elapsed = self.stopwatch()
        answer = await tool.answer(context, arguments)
        return answer.with_duration(elapsed())

    async def ask(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()


async def stream_answer(model: Model, request: ModelRequest) -> AsyncGenerator[Part, None]:
    """Yield the parts of a model's answer. Every error becomes a `ModelError`."""
    stream = model.stream(request)
    try:
        async for part in stream:
            yield part
    except ModelError:
        raise
    except Exception as err:
        raise ModelError("unknown", in_words(err)) from err
    finally:
        # The stream may hold a connection: do not leave it to the garbage collector.
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
