"""A model call with retries, backoff and fallback models. Every attempt is recorded.

    for each model            the next one when this one has no attempts left, or its error is permanent
      for each attempt        exponential backoff with jitter in between, within a budget of seconds

If a stream breaks off after some text and before any tool call, the text is kept: it becomes a turn that is
marked as interrupted, and the loop asks the model to continue.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from anyio import get_cancelled_exc_class

from ...store.changeset import Attempt, Inference
from ...store.errors import keepable
from ..commit import Effects
from ..events import AttemptFailed
from ..models import Collector, Model, ModelError, ModelRequest, Part, RetryPolicy, TextPart, Turn, digest


class InferenceFailed(Exception):
    """No model answered. `ModelCall.attempts` says why."""


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """The turn of a model, and the attempts that it took."""

    turn: Turn
    request: ModelRequest
    model: str
    attempts: tuple[Attempt, ...]
    """The failed attempts before it."""

    latency: int
    """Microseconds from the request to the end of the answer."""

    interrupted: bool = False
    """Whether the stream broke off: the turn is what was received before."""

    def record(self) -> Inference:
        """Return the record for the log."""
        return Inference(
            model=self.model,
            settings=dict(self.request.settings),
            usage=self.turn.usage,
            finish_reason="interrupted" if self.interrupted else self.turn.finish_reason,
            latency=self.latency,
            request_digest=digest(self.request),
            attempts=self.attempts,
        )


@dataclass(slots=True)
class ModelCall:
    """Asks models in order until one answers."""

    effects: Effects
    policy: RetryPolicy
    on_part: Callable[[Part], None]
    """Called with every part as it arrives."""

    on_failure: Callable[[AttemptFailed], None]
    """Called when an attempt fails."""

    may_continue: bool = True
    """Whether a text that breaks off may be kept and the model asked to continue."""

    attempts: list[Attempt] = field(default_factory=list)
    """The failed attempts, in order. They are kept even if the call itself is cancelled."""

    _waited: float = 0.0

    async def ask(self, models: Sequence[Model], request: Callable[[], ModelRequest]) -> InferenceResult:
        """Return the first answer of any model. `request` is called again for each attempt.

        Raises:
            InferenceFailed: no model answered, or the budget for waiting is exhausted.
        """
        problem = "the agent has no model"
        for model in models:
            for number in range(1, self.policy.attempts + 1):
                result = await self._attempt(model, request())
                if isinstance(result, InferenceResult):
                    return result
                problem = (
                    f"model {model.name!r} failed on attempt {number} of {self.policy.attempts}: {result}"
                )
                if not result.is_retryable or number == self.policy.attempts:
                    break
                if not await self._wait(number, result):
                    raise InferenceFailed(f"{problem} (retry budget exhausted)")
        raise InferenceFailed(problem)

    async def _attempt(self, model: Model, request: ModelRequest) -> InferenceResult | ModelError:
        collector, elapsed = Collector(), self.effects.stopwatch()
        try:
            async with aclosing(self.effects.infer(model, request)) as parts:
                async for part in parts:
                    if part != TextPart(""):  # An empty text is not an answer.
                        collector.add(part)
                        self.on_part(part)
            if collector.is_empty:
                raise ModelError("connection", "the stream was empty")
        except ModelError as err:
            latency = elapsed()
            self._record(model, collector, latency, err)
            turn = collector.turn()
            if turn.text and not collector.began_tool_call and err.is_retryable and self.may_continue:
                return InferenceResult(
                    turn, request, model.name, tuple(self.attempts), latency, interrupted=True
                )
            return err
        except get_cancelled_exc_class():
            self._record(model, collector, elapsed())
            raise
        latency = elapsed()
        return InferenceResult(collector.turn(), request, model.name, tuple(self.attempts), latency)

    def _record(
        self, model: Model, collector: Collector, latency: int, err: ModelError | None = None
    ) -> None:
        attempt = Attempt(
            model=model.name,
            outcome="failed" if err else "cancelled",
            kind=err.kind if err else None,
            error=keepable(err.problem) if err else None,
            retry_after=err.retry_after if err else None,
            text=keepable(collector.turn().text),
            began_tool_call=collector.began_tool_call,
            latency=latency,
        )
        self.attempts.append(attempt)
        if err:
            self.on_failure(AttemptFailed(model.name, str(err)))

    async def _wait(self, number: int, err: ModelError) -> bool:
        """Wait before the next attempt. Return False if that exceeds the budget."""
        wait = err.retry_after
        if wait is None:
            wait = self.effects.jitter(self.policy.wait(number), self.policy.jitter)
        if self._waited + wait > self.policy.budget:
            return False
        self._waited += wait
        self.attempts[-1] = self.attempts[-1].model_copy(update={"wait": round(wait * 1_000_000)})
        await self.effects.sleep(wait)
        return True
