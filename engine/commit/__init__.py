"""How a run writes: actions are reduced in a workspace, appended as changesets, then published as events.

`Effects` is everything that a run asks of the world: time, ids, models, tools.
"""

from .effects import Effects, named_id
from .journal import Behind, Condition, Kept, LogJournal
from .publisher import Publisher
from .workspace import GIVEN, LOOP, RunIdentity, Workspace

__all__ = [
    "Behind",
    "Condition",
    "Effects",
    "GIVEN",
    "Kept",
    "LOOP",
    "LogJournal",
    "Publisher",
    "RunIdentity",
    "Workspace",
    "named_id",
]
