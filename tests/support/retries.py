"""Runs whose models fail, and what their log says of each inference."""

from pathlib import Path

from support.effects import CountingEffects
from support.log_reads import read_history
from support.runtimes import run_agent
from threadlog.engine import Agent, ModelError
from threadlog.engine.events.event import RunResult
from threadlog.engine.models.model import ErrorKind
from threadlog.engine.replay.replay import replay_run
from threadlog.store import Log
from threadlog.store.changeset import Inference


def model_error(kind: ErrorKind, retry_after: float | None = None) -> ModelError:
    return ModelError(kind, f"{kind}!", retry_after)


class RetriedRun:
    """A run of an agent whose retries sleep in `effects`."""

    def __init__(self, path: Path, agent: Agent) -> None:
        self.path, self.agent, self.effects = path, agent, CountingEffects()

    async def run(self) -> RunResult:
        """Run the agent, and check that the run replays."""
        result = await run_agent(self.path, self.agent, effects=self.effects)
        with Log.open(self.path, readonly=True) as log:
            assert await replay_run(log, result.run_id, [self.agent]) is None
        return result

    def inferences(self) -> list[Inference]:
        return [changeset.inference for changeset in read_history(self.path) if changeset.inference]

    def attempts(self) -> list[tuple[str, str | None]]:
        """Return model and kind of error of each failed attempt."""
        return [(a.model, a.kind) for inference in self.inferences() for a in inference.attempts]
