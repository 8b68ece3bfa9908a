"""Executing one epoch of a run: steps, model calls, tool rounds."""

from .agent_loop import Loop
from .epoch import Epoch, Resume, Start

__all__ = [
    "Epoch",
    "Loop",
    "Resume",
    "Start",
]
