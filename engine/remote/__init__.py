"""Runs that follow an A2A task on another machine. The A2A SDK is imported when the first one starts."""

from .discovery import discover
from .protocol import IDEMPOTENT, restore_integers
from .remote_loop import RemoteLoop

__all__ = [
    "IDEMPOTENT",
    "RemoteLoop",
    "discover",
    "restore_integers",
]
