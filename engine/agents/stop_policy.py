"""Stop policies: when a run that would go on is stopped. Pure: each reads the progress of the run.

They are asked when a round is complete, its tools included. A run that ends naturally is never stopped.
Time is read from the changesets of the run alone, so a replay decides the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from ...reducers.tool_call import ToolCallState
from ...store.changeset import Message, Termination


@dataclass(frozen=True, slots=True)
class Round:
    """One inference, and the tools it called."""

    text: str
    tools: tuple[str, ...]
    """Their names, in call order."""

    failed: bool
    """Whether it called tools and every one of them failed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A run so far."""

    rounds: Sequence[Round]
    tokens: int
    """Sent and received together."""

    elapsed: int
    """Microseconds from the first changeset since the run was started, or resumed, to its last."""


class StopPolicy(Protocol):
    """Anything that looks at the progress of a run and may say stop."""

    def check(self, progress: Progress) -> Termination | None:
        """Why the run stops here, or None."""
        raise NotImplementedError


def _stopped(code: str, detail: str | None = None) -> Termination:
    return Termination(type="stopped", code=code, detail=detail)


@dataclass(frozen=True, slots=True)
class MaxRounds:
    """Stop after so many rounds."""

    rounds: int

    def check(self, progress: Progress) -> Termination | None:
        return _stopped("max_rounds_reached") if len(progress.rounds) >= self.rounds else None


@dataclass(frozen=True, slots=True)
class Timeout:
    """Stop when so many seconds have passed since the run started, or was resumed.

    What goes on is not interrupted: a tool has a `timeout` of its own, and so has a provider.
    """

    seconds: float

    def check(self, progress: Progress) -> Termination | None:
        return _stopped("timeout_reached") if progress.elapsed >= self.seconds * 1_000_000 else None


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Stop when so many tokens were sent and received; 0 is no limit."""

    max_total: int

    def check(self, progress: Progress) -> Termination | None:
        spent = self.max_total and progress.tokens >= self.max_total
        return _stopped("token_budget_exceeded") if spent else None


@dataclass(frozen=True, slots=True)
class ConsecutiveErrors:
    """Stop when in so many rounds on end every tool failed; 0 is no limit."""

    max: int

    def check(self, progress: Progress) -> Termination | None:
        last = progress.rounds[-self.max :] if self.max else ()
        enough = len(last) == self.max and all(round.failed for round in last)
        return _stopped("consecutive_errors_exceeded") if self.max and enough else None


@dataclass(frozen=True, slots=True)
class StopOnTool:
    """Stop when a tool was called."""

    tool_name: str

    def check(self, progress: Progress) -> Termination | None:
        called = bool(progress.rounds) and self.tool_name in progress.rounds[-1].tools
        return _stopped("tool_called", self.tool_name) if called else None


@dataclass(frozen=True, slots=True)
class ContentMatch:
    """Stop when the model's text holds a pattern (plain text); an empty one never matches."""

    pattern: str

    def check(self, progress: Progress) -> Termination | None:
        matched = self.pattern and progress.rounds and self.pattern in progress.rounds[-1].text
        return _stopped("content_matched", self.pattern) if matched else None


@dataclass(frozen=True, slots=True)
class LoopDetection:
    """Stop when two rounds next to each other, among the last `window`, called the same tools."""

    window: int = 2

    def check(self, progress: Progress) -> Termination | None:
        last = [sorted(round.tools) for round in progress.rounds[-max(self.window, 2) :]]
        again = any(a and a == b for a, b in pairwise(last))
        return _stopped("loop_detected") if again else None


def rounds(messages: Iterable[Message], calls: Iterable[ToolCallState], run_id: str) -> list[Round]:
    """The rounds of a run that the conversation holds: a run that is resumed has gone on for as many."""
    failed = {call.call_id for call in calls if call.status == "failed"}
    return [
        Round(
            text=message.content,
            tools=tuple(call.name for call in message.tool_calls),
            failed=all(call.id in failed for call in message.tool_calls),
        )
        for message in messages
        if message.run_id == run_id and message.tool_calls
    ]


def stopped(policies: Sequence[StopPolicy], progress: Progress) -> Termination | None:
    """What the first policy says that says stop."""
    return next(filter(None, (policy.check(progress) for policy in policies)), None)
