"""Starting, finding, cancelling and recovering runs."""

from .commands import prompt_messages
from .handle import Run
from .launcher import course_of
from .liveness import Liveness
from .parts import Parts
from .placement import IfActive
from .queries import ActiveRun
from .recovery import Orphans, Recovered, orphans
from .runs import Runs
from .starting import Asked
from .sub_agents import SubAgent, SubAgentStatus, sub_agent

__all__ = [
    "ActiveRun",
    "Asked",
    "IfActive",
    "Liveness",
    "Orphans",
    "Parts",
    "Recovered",
    "Run",
    "Runs",
    "SubAgent",
    "SubAgentStatus",
    "course_of",
    "orphans",
    "prompt_messages",
    "sub_agent",
]
