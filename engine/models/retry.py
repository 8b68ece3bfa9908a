"""When a model that failed is asked again."""

from dataclasses import dataclass

from ...store.errors import DefinitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how long, a model is asked again. Times are seconds.

    Raises:
        DefinitionError: no attempt is to be made, or a number is negative.
    """

    attempts: int = 2
    """For each model."""

    backoff: float = 0.25
    """Before the second attempt; doubled for each further one."""

    max_backoff: float = 2.0
    jitter: float = 0.2
    """The part of a wait by which it may be longer or shorter: the longest wait, too, or many would end
    at once."""

    budget: float = 10.0
    """Of waiting, in one inference; what would go beyond it is not waited for."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.backoff, self.max_backoff, self.jitter, self.budget) < 0:
            raise DefinitionError(f"a model is asked once at least, and no wait is less than 0: {self}")

    def wait(self, attempt: int) -> float:
        """Seconds to wait behind an attempt, 1 for the first, jitter aside."""
        doubled: float = self.backoff * 2 ** (attempt - 1)
        return min(doubled, max(self.max_backoff, self.backoff))
