"""The log: changesets, and the SQLite file that stores them. Only this package knows SQL.

errors      the errors of log, state and runs
document    JSON values: what can be stored, and their canonical bytes     pure
patch       RFC 6902: apply and diff by structural sharing                 pure
changeset   what one append writes (message.py, outcome.py: its parts)     pure
state       a thread's state document and its bounds                       pure
codec       changesets to bytes and back; the digest chain                 pure
append      one append: made once, carried to the writer, answered there   pure
database    opening the file, and what SQLite's errors mean
history     reading the rows
listing     threads, runs and queues, from the derived tables
derived     the derived tables and their rebuild
writer      one writer, group commit
verify      every check of a file
copying     copying a log that may be in use
following   waiting for appends
log         the log: open, append, read, follow
appender    appending from an event loop
"""

from .append import ANY, Append, Condition
from .appender import Appender, Receipt
from .changeset import ActionRecord, Changeset, Message, ThreadMetadata, ToolCall, TrackedPatch
from .copying import copy_log
from .errors import ThreadlogError, VersionConflict
from .log import Log
from .verify import Finding, Heads

__all__ = [
    "Log",
    "Append",
    "Appender",
    "Condition",
    "Receipt",
    "Changeset",
    "Message",
    "ToolCall",
    "TrackedPatch",
    "ActionRecord",
    "ThreadMetadata",
    "ANY",
    "VersionConflict",
    "ThreadlogError",
    "Heads",
    "Finding",
    "copy_log",
]
