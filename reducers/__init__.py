"""State: actions become patches, changesets become threads. Pure: no clock, no I/O, no database.

scope              where in the state an action writes, and what is reserved there
generic            Set, Delete, Append, Insert, Remove, Merge, Increment, Decrement
generic_reduction  generic actions to operations
reducer            reducers of users: pure functions on a slice of the state
run                the record of the current run
sub_agent          the sub-agents that a thread has started
tool_call          the record of a tool call
decision           decisions that arrived before their question
remote             the remote task that a run follows
open_calls         the tool calls of a crashed run
conflict           conflicts between parallel tool calls
reduce             actions to records, records to patches
replay             changesets to a thread
usage              token counts
statistics         figures of runs
check              logged patches compared with those of the present reducers
phase              the eight phases of a run
"""

from .check import Divergence, NotChecked, check_reducers
from .generic import Append, Decrement, Delete, Increment, Insert, Merge, Remove, Set
from .reduce import Reducers, StateAction
from .reducer import Action, Reducer, reducer
from .replay import Thread, replay
from .statistics import Statistics, statistics

__all__ = [
    "Action",
    "Reducer",
    "reducer",
    "Reducers",
    "StateAction",
    "Set",
    "Delete",
    "Append",
    "Insert",
    "Remove",
    "Merge",
    "Increment",
    "Decrement",
    "replay",
    "Thread",
    "statistics",
    "Statistics",
    "check_reducers",
    "Divergence",
    "NotChecked",
]
