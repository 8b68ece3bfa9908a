"""Starting, finding, cancelling and recovering runs."""

from .commands import prompt_messages
from .handle import Run
from .launcher import course_of
from .liveness import Liveness
from .orphans import Recovered, find_orphans
from .parts import Parts
from .placement import IfActive
from .queries import ActiveRun
from .recovery import OrphanPolicy
from .run_service import RunService
from .starting import NewRun
from .sub_agents import SubAgent, SubAgentStatus, sub_agent

__all__ = [
    "ActiveRun",
    "NewRun",
    "IfActive",
    "Liveness",
    "OrphanPolicy",
    "Parts",
    "Recovered",
    "Run",
    "RunService",
    "SubAgent",
    "SubAgentStatus",
    "course_of",
    "find_orphans",
    "prompt_messages",
    "sub_agent",
]
