"""Replay: a recorded run is executed again with recorded effects, and compared with the log."""

from .replay import replay_run

__all__ = [
    "replay_run",
]
