"""Commands to a run (decide, steer, cancel), and the endings that are written on its behalf."""

from .closing import cancel_waiting, close_calls, superseded
from .control_stream import ControlStream
from .crashed import Recovering
from .decision import Answers, Decision, recorded, refuse_unknown
from .inbox import Inbox
from .mailbox import INFERENCE, TOOLS, Commands, Interrupted, Mailbox, Place

__all__ = [
    "Answers",
    "Commands",
    "ControlStream",
    "Decision",
    "Inbox",
    "INFERENCE",
    "Interrupted",
    "Mailbox",
    "Place",
    "Recovering",
    "TOOLS",
    "cancel_waiting",
    "close_calls",
    "recorded",
    "refuse_unknown",
    "superseded",
]
