"""Runs that follow an A2A task on another machine. The A2A SDK is imported when the first one starts."""

from .discovery import discovered
from .extension import IDEMPOTENT
from .remote_loop import RemoteLoop

__all__ = [
    "IDEMPOTENT",
    "RemoteLoop",
    "discovered",
]
