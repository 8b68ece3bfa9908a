"""Errors of a remote server, and the retries of a request that it does not answer."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from ...store.errors import ThreadlogError
from ..commit import Effects

Kind = Literal["unreachable", "lost", "unsupported", "finished", "refused"]

T = TypeVar("T")

SHORTEST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds between two tries: the wait doubles after each one."""


class RemoteError(ThreadlogError):
    """A request to a remote server failed.

    `unreachable`: a retry may succeed. `lost`: the server does not know the task. `unsupported`: it does not
    offer the operation. `finished`: the task has ended. `refused`: anything else.
    """

    def __init__(self, kind: Kind, problem: str, was_sent: bool = True) -> None:
        super().__init__(kind, problem, was_sent)
        self.kind: Kind = kind
        self.problem = problem
        self.was_sent = was_sent
        """Whether the request may have reached the server."""

    def __str__(self) -> str:
        return self.problem


async def retry_until_answered(call: Callable[[], Awaitable[T]], effects: Effects, patience: float) -> T:
    """Return what `call` returns. Retry it with exponential backoff while the server is unreachable.

    Raises:
        RemoteError: the server stayed unreachable for `patience` seconds, or answered with an error.
    """
    elapsed, wait = effects.stopwatch(), SHORTEST_WAIT
    while True:
        try:
            return await call()
        except RemoteError as err:
            seconds = elapsed() / 1_000_000
            if err.kind != "unreachable":
                raise
            if seconds + wait > patience:
                raise RemoteError("unreachable", f"unreachable for {seconds:.0f} s: {err}") from None
        await effects.sleep(effects.jitter(wait, 0.25))
        wait = min(wait * 2, LONGEST_WAIT)
