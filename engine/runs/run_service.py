"""The part of a runtime that delegation tools and servers use."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from pydantic import JsonValue

from ...store.changeset import Message, ThreadMetadata
from ...store.log import Log
from ..control import Decision
from ..events import Event
from .handle import Run
from .placement import IfActive


class RunService(Protocol):
    """Starts, finds and controls runs. `Runtime` implements it, and documents the methods."""

    log: Log

    async def start(
        self,
        agent: str,
        prompt: str | Sequence[Message],
        *,
        thread: str | None = None,
        metadata: ThreadMetadata | None = None,
        parent: str | None = None,
        if_active: IfActive = "reject",
        id: str | None = None,
        state: Mapping[str, JsonValue] = MappingProxyType({}),
    ) -> Run: ...

    def get_run(self, run_id: str) -> Run: ...

    async def resume(
        self,
        run_id: str,
        decisions: Sequence[Decision] = (),
        *,
        prompt: str | Sequence[Message] = (),
        parent: str | None = None,
    ) -> Run: ...

    async def decide(self, run_id: str, decisions: Sequence[Decision]) -> Run: ...

    async def steer(
        self, run_id: str, text: str, *, by: str | None = None, id: str | None = None
    ) -> None: ...

    async def cancel(
        self, run_id: str, *, wait: bool = False, by: str | None = None, reason: str | None = None
    ) -> bool: ...

    def output(self, run_id: str) -> JsonValue: ...

    def subscribe(self, run_id: str, after: tuple[int, int] | None = None) -> AsyncIterator[Event]: ...
