"""Retries of failed model requests."""

from dataclasses import dataclass

from ...store.errors import DefinitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to retry a model request, and how long to wait between attempts. Times are seconds.

    Raises:
        DefinitionError: `attempts` is less than 1, or another number is negative.
    """

    attempts: int = 2
    """Attempts for each model, the first one included."""

    backoff: float = 0.25
    """The wait before the second attempt. It doubles for each further attempt."""

    max_backoff: float = 2.0
    jitter: float = 0.2
    """The fraction of a wait that is random. It applies to the longest wait too, so that many runs do not
    retry at the same moment."""

    budget: float = 10.0
    """The total of all waits in one inference. A wait that would exceed it is not made."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.backoff, self.max_backoff, self.jitter, self.budget) < 0:
            raise DefinitionError(f"attempts must be at least 1 and waits at least 0: {self}")

    def wait(self, attempt: int) -> float:
        """Return the seconds to wait after an attempt (the first is 1), without jitter."""
        doubled: float = self.backoff * 2 ** (attempt - 1)
        return min(doubled, max(self.max_backoff, self.backoff))
