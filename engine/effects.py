"""Everything a run asks of the world goes through one object: time, ids, models and tools.

The loop itself is a function of what this object answers. Nothing else here reads a clock or makes an id.
"""

import os
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from .model import Model, ModelRequest, Part
from .tool import Tool, ToolContext


class Effects:
    """The real world. A test or a replay hands in another one."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def new_id(self) -> str:
        """An id that no other process makes, and that sorts by time. Source: RFC 9562, UUID version 7."""
        milliseconds = time.time_ns() // 1_000_000
        value = int.from_bytes(os.urandom(16), "big")
        value = milliseconds << 80 | value & (1 << 80) - 1
        return str(UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))

    def infer(self, model: Model, request: ModelRequest) -> AsyncIterator[Part]:
        """Ask a model: the parts of its answer as they come."""
        return model.stream(request)

    async def call(self, tool: Tool, context: ToolContext, arguments: Any) -> Any:
        """Call a tool: what it returns. Raises whatever it raises."""
        return await tool.call(context, arguments)
