"""The ground: what a changeset is, and the log that keeps it. Only this floor knows SQL.

errors      every error, as a tree
document    JSON values: what may be kept, and their canonical bytes      pure
patch       RFC 6902: apply and diff by structural sharing                pure
changeset   what one append writes                                        pure
codec       changesets to bytes and back; the digest chain                pure
state       a thread's state document at its head, and its bounds         pure
database    opening the file, and what SQLite's errors mean
history     reading the rows
derived     the tables made from the log, and their rebuild
writer      one writer, group commit
verify      every check of a file
log         the log: open, append, read, follow
async_log   the same log behind `await`
"""

from .async_log import AsyncLog
from .changeset import ActionRecord, Changeset, Message, ThreadFacts, ToolCall, TrackedPatch
from .errors import ThreadlogError, VersionConflict
from .log import Log
from .verify import Finding, Heads
from .writer import ANY

__all__ = [
    "Log",
    "AsyncLog",
    "Changeset",
    "Message",
    "ToolCall",
    "TrackedPatch",
    "ActionRecord",
    "ThreadFacts",
    "ANY",
    "VersionConflict",
    "ThreadlogError",
    "Heads",
    "Finding",
]
