"""The checks after every test: each log that it leaves verifies, and the runs in it replay."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from threadlog.engine import Divergence, NotChecked, Runtime, replay_run
from threadlog.engine.agents import Registered
from threadlog.store import Log


class OpenedLogs:
    """The logs on which a test opened runtimes, with all agents that were registered there."""

    def __init__(self) -> None:
        self._agents: dict[Path, dict[int, Registered]] = {}

    def observe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note every runtime that is opened from now on, and every replacement of its agents."""
        self._agents.clear()
        opened, replaced = Runtime.__init__, Runtime.replace

        def init(runtime: Runtime, log: Log, agents: Sequence[Registered], *args: Any) -> None:
            opened(runtime, log, agents, *args)
            self.note(log.path, agents)

        async def replace(runtime: Runtime, agents: Sequence[Registered]) -> Any:
            self.note(runtime.log.path, agents)
            return await replaced(runtime, agents)

        monkeypatch.setattr(Runtime, "__init__", init)
        monkeypatch.setattr(Runtime, "replace", replace)

    def note(self, path: Path, agents: Sequence[Registered]) -> None:
        """Note agents that another process runs on a log."""
        known = self._agents.setdefault(path.absolute(), {})
        known.update((id(agent), agent) for agent in agents)

    def problems(self, backend: str) -> list[str]:
        """Return what is wrong with the logs that still exist."""
        return [
            f"{path.name}: {problem}"
            for path, agents in self._agents.items()
            if path.exists()
            for problem in find_problems(path, list(agents.values()), backend)
        ]


OPENED_LOGS = OpenedLogs()


def find_problems(path: Path, agents: Sequence[Registered], backend: str = "asyncio") -> list[str]:
    """Return what `verify` finds in a log; if nothing, which of its runs do not replay.

    Orphans are not replayed: their last epoch has no end.
    """
    with Log.open(path, readonly=True) as log:
        if findings := [str(finding) for finding in log.verify()]:
            return findings
        runs = [row.run_id for row in log.runs() if row.status != "running"]
        found = [anyio.run(replay_with_any, log, run_id, agents, backend=backend) for run_id in runs]
        return [str(difference) for difference in found if difference]


async def replay_with_any(
    log: Log, run_id: str, agents: Sequence[Registered]
) -> Divergence | NotChecked | None:
    """Replay a run. Of several agents with the name of its agent, one must reproduce it."""
    name = next((each.agent.name for each in log.read_run(run_id) if each.agent), None)
    others = [agent for agent in agents if agent.name != name]
    found = await replay_run(log, run_id, others)
    for candidate in reversed([agent for agent in agents if agent.name == name]):
        if (found := await replay_run(log, run_id, [candidate, *others])) is None:
            break
    return found
