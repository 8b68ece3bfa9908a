"""What can go wrong with a server, and how long it is tried again."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from ...store.errors import ThreadlogError
from ..commit import Effects

Kind = Literal["unreachable", "lost", "unsupported", "finished", "refused"]

T = TypeVar("T")

SHORTEST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds between two tries: twice as many every time."""


class RemoteError(ThreadlogError):
    """A server did not do what it was asked.

    `unreachable`: it may when it is asked again. `lost`: it does not know the task. `unsupported`: it cannot
    do such things. `finished`: the task is over. `refused`: whatever else it says.
    """

    def __init__(self, kind: Kind, problem: str, was_sent: bool = True) -> None:
        super().__init__(kind, problem, was_sent)
        self.kind: Kind = kind
        self.problem = problem
        self.was_sent = was_sent
        """Whether the request may have reached it all the same."""

    def __str__(self) -> str:
        return self.problem


async def lasting(call: Callable[[], Awaitable[T]], effects: Effects, patience: float) -> T:
    """What `call` gives: tried again while the server is unreachable, for so many seconds.

    Raises:
        RemoteError: it stayed unreachable, or something else is wrong.
    """
    began, wait = effects.mark("a2a"), SHORTEST_WAIT
    while True:
        try:
            return await call()
        except RemoteError as err:
            seconds = effects.since("a2a", began) / 1_000_000
            if err.kind != "unreachable":
                raise
            if seconds + wait > patience:
                raise RemoteError("unreachable", f"unreachable for {seconds:.0f} s: {err}") from None
        await effects.sleep(effects.jittered(wait, 0.25))
        wait = min(wait * 2, LONGEST_WAIT)
