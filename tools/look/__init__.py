"""Commands that read a log: threads, runs, show, log, state, diff, pending, follow."""

from .diff import diff, print_diff, readable_diff
from .follow import follow
from .log import log, print_history
from .pending import pending
from .runs import runs
from .show import show
from .state import state
from .threads import threads
from .tree import branch

__all__ = [
    "branch",
    "diff",
    "follow",
    "log",
    "pending",
    "print_diff",
    "print_history",
    "readable_diff",
    "runs",
    "show",
    "state",
    "threads",
]
