"""Executing a recorded run again, on recorded effects, and comparing it with the log."""

from .replay import replay_run

__all__ = [
    "replay_run",
]
