"""The second act: a planner has others work for it, one of them in another process."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from ...engine import RunResult, Runtime, SubAgent
from ...engine.agents import Registered
from ...engine.runs import sub_agent
from ...reducers.sub_agent import sub_agents_in
from ...store.log import Log
from ..look.browse import print_history
from ..look.runs import ended
from ..look.tree import branch
from ..terminal import styled
from .second import LOG, Second, lacks, second_process
from .team import ARCHIVIST, team
from .telling import follow, heading, put, say, short

THREAD = "plan"
PROMPT = "Was something filed twice, and what has the last trip cost?"
LEFT_OUT = (
    "The agent in a second process is left out: the extra a2a is not installed. "
    "It is part of the demo after pip install 'threadlog[a2a]'"
)


class Delegated(NamedTuple):
    """What became of those who worked for the planner."""

    result: RunResult
    sub_agents: list[SubAgent]
    agents: Sequence[Registered]
    """Those that were there: the remote one, too."""

    second: dict[str, Any] | None
    """Of the second process: where it was, how it has ended, and the runs of its own log."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "run_id": self.result.run_id,
            "thread_id": self.result.thread_id,
            "status": self.result.status,
            "termination": self.result.termination.model_dump(exclude_none=True),
            "output": self.result.output,
            "sub_agents": [
                {"agent": one.agent, "status": one.status, "error": one.error, "thread_id": one.thread_id}
                for one in self.sub_agents
            ],
            "second_process": self.second,
        }


def delegate(path: Path, source: Path, folder: Path) -> Delegated:
    """Run the planner on the log at `path`; the second process is over on return."""
    heading(f"2. Agents that work for others, on thread {THREAD}")
    with ExitStack() as stack:
        second = None
        if lacks():
            say(LEFT_OUT, "yellow")
        else:
            second = stack.enter_context(second_process(folder))
            say("A second process has begun: `threadlog serve --a2a`, with an agent and a log of its own.")
            say(f"pid {second.pid}, at {second.urls[ARCHIVIST]}", "dim", indent=2)
        result, agents = anyio.run(_run, path, source, second)
        if second:
            second.end()
    with Log.open(path, readonly=True) as log:
        subs = _sub_agents(log)
        _tell_tree(log, result, subs)
        mirror = next((sub for sub in subs if sub.agent == ARCHIVIST), None)
        if mirror:
            _tell_mirror(log, mirror)
    told = _tell_second(second) if second else None
    return Delegated(result, subs, agents, told)


async def _run(path: Path, source: Path, second: Second | None) -> tuple[RunResult, Sequence[Registered]]:
    async with Runtime.open(path, agents=team(source)) as runtime:
        if second:
            await runtime.discover(second.urls[ARCHIVIST])
        result = await follow(await runtime.start("planner", PROMPT, thread=THREAD))
        return result, runtime.registry.agents


def _sub_agents(log: Log) -> list[SubAgent]:
    """Those of the planner, in the order in which they began, each as its own log has it."""
    known = sub_agents_in(log.state(THREAD)).runs
    rows = {row.run_id: place for place, row in enumerate(log.runs())}
    return [
        sub_agent(log, run_id, known[run_id]) for run_id in sorted(known, key=lambda id: rows.get(id, -1))
    ]


def _tell_tree(log: Log, result: RunResult, subs: list[SubAgent]) -> None:
    heading("the tree of runs: how each is stands in its own thread")
    how = ": ".join(filter(None, [result.status, ended(result.termination)]))
    put(styled(f"{short(result.run_id):<13}{'planner':<11}{how:<34}{THREAD}"))
    for sub in subs:
        how = ": ".join(filter(None, [sub.status, sub.error]))
        put(styled(f"{branch(1, short(sub.run_id)):<13}{sub.agent:<11}{how:<34}{short(sub.thread_id)}"))


def _tell_mirror(log: Log, mirror: SubAgent) -> None:
    heading(f"the remote one here: thread {short(mirror.thread_id)} mirrors its task")
    print_history(list(log.read(mirror.thread_id)))


def _tell_second(second: Second) -> dict[str, Any]:
    heading(f"the remote one there: {LOG}, the second process's own log")
    with Log.open(second.log, readonly=True) as log:
        rows = log.runs()
        for row in rows:
            how = ": ".join(filter(None, [row.status, ended(row.termination)]))
            put(styled(f"{short(row.run_id):<13}{row.agent:<11}{how:<34}{short(row.thread_id)}"))
    say(f"It was told to end, and has: exit status {second.exit_status}.")
    return {
        "url": second.urls[ARCHIVIST],
        "pid": second.pid,
        "exit_status": second.exit_status,
        "db": str(second.log),
        "runs": [{"thread_id": row.thread_id, "agent": row.agent, "status": row.status} for row in rows],
    }
