"""Sub-agents as tools: what an agent needs to delegate work to other agents."""

from .equipment import Equipment

__all__ = [
    "Equipment",
]
