"""Models that fail or break off, and runs that try them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from support.runs import CountedEffects, history, run
from threadlog.engine import Agent, ModelError, ModelRequest
from threadlog.engine.models.model import ErrorKind, Part
from threadlog.engine.replay.replay import replay_run
from threadlog.store import Log
from threadlog.store.changeset import Inference


class Recorded(CountedEffects):
    """The world of these tests: it says how long it would have slept."""


def failing(kind: ErrorKind, retry_after: float | None = None) -> ModelError:
    return ModelError(kind, f"{kind}!", retry_after)


class Breaking:
    """A model that answers in parts; an error among them breaks it off. One list for each request."""

    name = "breaking"

    def __init__(self, *answers: list[Part | ModelError]) -> None:
        self._answers = iter(answers)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        for part in next(self._answers):
            if isinstance(part, ModelError):
                raise part
            yield part


class Tried:
    """A run with models that fail, the world it slept in, and what the log has of its inferences."""

    def __init__(self, path: Path, planner: Agent) -> None:
        self.path, self.planner, self.effects = path, planner, Recorded()

    async def run(self) -> Any:
        result = await run(self.path, self.planner, effects=self.effects)
        with Log.open(self.path, readonly=True) as log:
            assert await replay_run(log, result.run_id, [self.planner]) is None
        return result

    def inferences(self) -> list[Inference]:
        return [changeset.inference for changeset in history(self.path) if changeset.inference]

    def attempts(self) -> list[tuple[str, str | None]]:
        """The model and the kind of error of each attempt that gave no turn."""
        return [(a.model, a.kind) for inference in self.inferences() for a in inference.attempts]


class Switching:
    """One model for the first request, another for the rest."""

    name = "switching"

    def __init__(self, first: Any, rest: Any) -> None:
        self._models = [first]
        self._rest = rest

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        model = self._models.pop() if self._models else self._rest
        async for part in model.stream(request):
            yield part
