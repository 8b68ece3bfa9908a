"""Decides what a start does on a thread, given the runs that the thread has. Pure.

    the thread has       reject                supersede     queue
    no run               start                 start         start
    queued runs only     reject                start         queue
    a running run        reject                supersede     queue
    an orphan            recover, try again    supersede     recover, try again
    a waiting run        reject with tickets   supersede     queue

An orphan that this runtime may not recover counts as a running run.
"""

from dataclasses import dataclass
from typing import Literal

IfActive = Literal["reject", "supersede", "queue"]

Verdict = Literal["start", "queue", "supersede", "reject", "recover"]


@dataclass(frozen=True, slots=True)
class Occupant:
    """The run that occupies a thread: the running or waiting one, or else the first in the queue."""

    run_id: str
    status: Literal["running", "waiting", "queued"]
    is_recoverable: bool = False
    """Whether its process died and this runtime may recover it."""


def place(occupant: Occupant | None, if_active: IfActive) -> Verdict:
    """Return what a start does on a thread with this occupant."""
    match occupant, if_active:
        case None, _:
            return "start"
        case Occupant(status="queued"), "supersede":
            return "start"
        case Occupant(), "supersede":
            return "supersede"
        case Occupant(is_recoverable=True), _:
            return "recover"
        case Occupant(), "queue":
            return "queue"
    return "reject"
