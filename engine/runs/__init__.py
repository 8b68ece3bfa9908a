"""Starting, finding, cancelling and recovering runs."""

from .commands import Runs
from .dispatcher import Dispatch
from .handle import Run
from .launcher import Launcher, loop_of
from .liveness import Liveness
from .queries import ActiveRun
from .recovery import Orphans, Recovered, Recovery, orphans
from .sub_agents import SubAgent, sub_agent

__all__ = [
    "ActiveRun",
    "Dispatch",
    "Launcher",
    "Liveness",
    "Orphans",
    "Recovered",
    "Recovery",
    "Run",
    "Runs",
    "SubAgent",
    "loop_of",
    "orphans",
    "sub_agent",
]
