"""threadlog: agent runs that can be replayed, from one append-only log in one SQLite file.

store      the log: changesets, and the SQLite file that holds them
reducers   the rules: action -> patch, changesets -> state. Pure
engine     runs agents; the only package that touches the world
tools      the command, the demo and the benchmarks
errors     every error that the package raises

Imports point down only: errors, tools -> engine -> reducers -> store.
"""

# Absolute: pytest imports this file under the name of the checkout's folder.
from threadlog.store.errors import (
    ContentError,
    LogError,
    NotFound,
    RunError,
    ThreadlogError,
)

__all__ = ["ThreadlogError", "RunError", "LogError", "NotFound", "ContentError"]
