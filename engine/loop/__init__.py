"""Executing one epoch of a run: steps, model calls, tool rounds."""

from .agent_loop import AgentLoop
from .epoch import Course, Epoch, EpochContext, Resume, Start

__all__ = ["AgentLoop", "Course", "Epoch", "EpochContext", "Resume", "Start"]
