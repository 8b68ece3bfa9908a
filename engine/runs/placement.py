"""Whether a run may start on a thread. Pure: what the log reports goes in, what to do comes out.

    the thread has              reject            supersede     queue
    no run                      start             start         start
    queued runs only            reject            start         queue
    a running run               reject            supersede     queue
    its process is dead         recover, again    supersede     recover, again
    a waiting run               reject, tickets   supersede     queue

A dead run counts as recoverable only if the policy of the runtime says what becomes of orphans.
"""

from dataclasses import dataclass
from typing import Literal

IfActive = Literal["reject", "supersede", "queue"]

Verdict = Literal["start", "queue", "supersede", "reject", "recover"]


@dataclass(frozen=True, slots=True)
class Occupant:
    """The run that a thread has: the one that is running or waits, else the first in the queue."""

    run_id: str
    status: Literal["running", "waiting", "queued"]
    is_recoverable: bool = False
    """Whether its process died, and this runtime may say what becomes of it."""


def place(occupant: Occupant | None, if_active: IfActive) -> Verdict:
    """What a start on a thread does, given the run that has the thread."""
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
