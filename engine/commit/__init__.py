"""How a run writes: actions are reduced in a workspace, appended as changesets, then published as events.

`Effects` is what a run gets from outside: time, ids, models, tools.
"""

from .effects import Effects, SystemEffects, named_id
from .identity import GIVEN, LOOP, RunIdentity
from .journal import Journal, MemoryJournal, Prelude
from .opening import Opening
from .publisher import Channel, Publisher
from .tool_calls import move_call
from .workspace import Workspace

__all__ = [
    "Channel",
    "MemoryJournal",
    "Effects",
    "GIVEN",
    "Journal",
    "LOOP",
    "Opening",
    "Prelude",
    "Publisher",
    "RunIdentity",
    "SystemEffects",
    "Workspace",
    "move_call",
    "named_id",
]
