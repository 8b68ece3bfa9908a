"""Sub-agents as tools: how an agent delegates work to other agents."""

from .equipment import Equipment

__all__ = [
    "Equipment",
]
