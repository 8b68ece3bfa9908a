"""The rules: action -> patch, changesets -> thread. Pure: no clock, no I/O, no database.

scope       where an action is routed, and what is reserved there
generic     Set, Delete, Append, Insert, Remove, Merge, Increment, Decrement
reducer     the user's reducers: slices with a place in the state
run         the run's own record
sub_agent   the runs that a thread's agents have started
tool_call   the record of a tool call
reduce      actions to records, records to patches
replay      history to thread
statistics  how much was done
check       reducing a log again
phase       the eight phases, and which actions are legal in which
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
