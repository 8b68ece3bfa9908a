"""Commands that check or copy a log: verify, replay, rebuild, stats, copy."""

from .copy import copy
from .rebuild import rebuild
from .replay import print_replayed, replay, replay_runs, replay_thread
from .stats import stats
from .verify import print_findings, verify

__all__ = [
    "copy",
    "print_findings",
    "print_replayed",
    "rebuild",
    "replay",
    "replay_runs",
    "replay_thread",
    "stats",
    "verify",
]
