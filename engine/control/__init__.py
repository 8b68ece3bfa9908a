"""Commands to a run (decide, steer, cancel), and the ends that other processes write for it."""

from .closing import cancel_waiting_run, close_calls, end_superseded_run
from .control_stream import ControlStream
from .crashed import CrashedRun
from .decision import Decision, KnownDecisions, check_targets, decision_record
from .inbox import Inbox
from .mailbox import INFERENCE, TOOLS, ApplyPoint, CommandSource, Interrupted, Mailbox

__all__ = [
    "KnownDecisions",
    "CommandSource",
    "ControlStream",
    "Decision",
    "Inbox",
    "INFERENCE",
    "Interrupted",
    "Mailbox",
    "ApplyPoint",
    "CrashedRun",
    "TOOLS",
    "cancel_waiting_run",
    "close_calls",
    "decision_record",
    "check_targets",
    "end_superseded_run",
]
