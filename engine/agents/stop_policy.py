"""Stop policies: conditions that stop a run that would otherwise continue. Pure.

The loop checks the policies after each complete round, tool calls included. A run that ends naturally is
never stopped. Policies read time only from the changesets of the run, so a replay stops at the same round.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from ...reducers.tool_call import ToolCallState
from ...store.changeset import Message, Termination


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """One inference and the tools it called, as stop policies see them."""

    text: str
    tools: tuple[str, ...]
    """The names of the tools, in call order."""

    failed: bool
    """Whether every tool call of the round failed. False for a round without tool calls."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run so far."""

    rounds: Sequence[RoundSummary]
    tokens: int
    """Input and output tokens together."""

    elapsed: int
    """Microseconds from the first changeset since the run was started or resumed to the last one."""


class StopPolicy(Protocol):
    """Decides from the progress of a run whether to stop it."""

    def check(self, progress: Progress) -> Termination | None:
        """Return why the run stops here, or None to let it continue."""
        raise NotImplementedError


def _stop(code: str, detail: str | None = None) -> Termination:
    return Termination(type="stopped", code=code, detail=detail)


@dataclass(frozen=True, slots=True)
class MaxRounds:
    """Stop after this many rounds."""

    rounds: int

    def check(self, progress: Progress) -> Termination | None:
        return _stop("max_rounds_reached") if len(progress.rounds) >= self.rounds else None


@dataclass(frozen=True, slots=True)
class Timeout:
    """Stop when this many seconds have passed since the run was started or resumed.

    A running tool or model call is not interrupted: tools and providers have their own timeouts.
    """

    seconds: float

    def check(self, progress: Progress) -> Termination | None:
        return _stop("timeout_reached") if progress.elapsed >= self.seconds * 1_000_000 else None


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Stop when input and output tokens together reach a limit; 0 means no limit."""

    max_total: int

    def check(self, progress: Progress) -> Termination | None:
        spent = self.max_total and progress.tokens >= self.max_total
        return _stop("token_budget_exceeded") if spent else None


@dataclass(frozen=True, slots=True)
class ConsecutiveErrors:
    """Stop when every tool call failed in this many consecutive rounds; 0 means no limit."""

    max: int

    def check(self, progress: Progress) -> Termination | None:
        last = progress.rounds[-self.max :] if self.max else ()
        enough = len(last) == self.max and all(round.failed for round in last)
        return _stop("consecutive_errors_exceeded") if self.max and enough else None


@dataclass(frozen=True, slots=True)
class StopOnTool:
    """Stop after a round that called this tool."""

    tool_name: str

    def check(self, progress: Progress) -> Termination | None:
        called = bool(progress.rounds) and self.tool_name in progress.rounds[-1].tools
        return _stop("tool_called", self.tool_name) if called else None


@dataclass(frozen=True, slots=True)
class ContentMatch:
    """Stop when the model's text contains a pattern (plain text). An empty pattern never matches."""

    pattern: str

    def check(self, progress: Progress) -> Termination | None:
        matched = self.pattern and progress.rounds and self.pattern in progress.rounds[-1].text
        return _stop("content_matched", self.pattern) if matched else None


@dataclass(frozen=True, slots=True)
class LoopDetection:
    """Stop when two consecutive rounds among the last `window` called the same tools."""

    window: int = 2

    def check(self, progress: Progress) -> Termination | None:
        last = [sorted(round.tools) for round in progress.rounds[-max(self.window, 2) :]]
        again = any(a and a == b for a, b in pairwise(last))
        return _stop("loop_detected") if again else None


def past_rounds(
    messages: Iterable[Message], calls: Iterable[ToolCallState], run_id: str
) -> list[RoundSummary]:
    """Return the rounds that the conversation contains of a run. A resumed run starts with them."""
    failed = {call.call_id for call in calls if call.status == "failed"}
    return [
        RoundSummary(
            text=message.content,
            tools=tuple(call.name for call in message.tool_calls),
            failed=all(call.id in failed for call in message.tool_calls),
        )
        for message in messages
        if message.run_id == run_id and message.tool_calls
    ]


def check_policies(policies: Sequence[StopPolicy], progress: Progress) -> Termination | None:
    """Return the termination of the first policy that stops the run."""
    return next(filter(None, (policy.check(progress) for policy in policies)), None)
