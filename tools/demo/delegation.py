"""A further scene: a planner delegates to three agents, one of them in another process."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import anyio

from ...engine import RunResult, Runtime, SubAgent
from ...engine.agents import Registered
from ...store.log import Log
from ..look import branch, print_history
from ..run_view import result_json
from ..terminal import styled_text
from ..wording import end_text, status_text
from .narration import follow, heading, print_line, say, short
from .second_process import LOG, SecondProcess, is_extra_missing, start_second_process
from .team import ARCHIVIST, team

THREAD = "plan"
PROMPT = "Was anything filed twice, and what did the last trip cost?"
MISSING_EXTRA = (
    "Without the extra a2a there is no agent in a second process. To include it: pip install 'threadlog[a2a]'"
)


class Delegated(NamedTuple):
    """The outcome of the planner and its sub-agents."""

    result: RunResult
    sub_agents: list[SubAgent]
    agents: Sequence[Registered]
    """The agents of the runtime, including the remote one."""

    second_process: dict[str, object] | None
    """The second process: its address, its exit status, and the runs in its own log."""

    def as_json(self) -> dict[str, object]:
        return {
            **result_json(self.result),
            "sub_agents": [
                {"agent": sub.agent, "status": sub.status, "error": sub.error, "thread_id": sub.thread_id}
                for sub in self.sub_agents
            ],
            "second_process": self.second_process,
        }


class _Run(NamedTuple):
    """The planner's run, with the sub-agents and agents of the runtime at its end."""

    result: RunResult
    sub_agents: list[SubAgent]
    """In the order in which they started."""

    agents: Sequence[Registered]


def delegate(path: Path, source: Path, folder: Path) -> Delegated:
    """Run the planner on the log at `path`. On return the second process has ended."""
    heading("More: a planner delegates to other agents")
    with ExitStack() as stack:
        second = _start_second(stack, folder)
        result, sub_agents, agents = anyio.run(_run, path, source, second)
        if second:
            second.end()
    _print_tree(result, sub_agents)
    for sub in sub_agents:
        if sub.agent == ARCHIVIST:
            _print_mirror(path, sub)
    return Delegated(result, sub_agents, agents, _print_second(second) if second else None)


def _start_second(stack: ExitStack, folder: Path) -> SecondProcess | None:
    if is_extra_missing():
        say(MISSING_EXTRA, "yellow")
        return None
    second = stack.enter_context(start_second_process(folder))
    say("A second process runs `threadlog serve --a2a`, with an agent and a log of its own:")
    say(f"pid {second.pid}, at {second.urls[ARCHIVIST]}", "dim", indent=2)
    return second


async def _run(path: Path, source: Path, second: SecondProcess | None) -> _Run:
    async with Runtime.open(path, agents=team(source)) as runtime:
        if second:
            await runtime.discover(second.urls[ARCHIVIST])
        result = await follow(await runtime.start("planner", PROMPT, thread=THREAD))
        started = [row.run_id for row in runtime.log.children(result.run_id)]
        subs = sorted(runtime.sub_agents(THREAD), key=lambda sub: started.index(sub.run_id))
        return _Run(result, subs, runtime.registry.agents)


def _print_tree(result: RunResult, subs: Sequence[SubAgent]) -> None:
    heading("More: the tree of runs, each status computed from the log of that run")
    status = status_text(result.status, end_text(result.termination))
    _print_run(short(result.run_id), "planner", status, THREAD)
    for sub in subs:
        _print_run(branch(1, short(sub.run_id)), sub.agent, status_text(sub.status, sub.error), sub.thread_id)


def _print_run(run: str, agent: str | None, status: str, thread_id: str) -> None:
    print_line(styled_text(f"{run:<13}{agent:<11}{status:<34}{short(thread_id)}"))


def _print_mirror(path: Path, mirror: SubAgent) -> None:
    heading("More: the thread that mirrors the task of the remote agent")
    with Log.open(path, readonly=True) as log:
        print_history(list(log.read(mirror.thread_id)))


def _print_second(second: SecondProcess) -> dict[str, object]:
    heading(f"More: the same task in {LOG}, the log of the second process")
    with Log.open(second.log, readonly=True) as log:
        rows = log.runs()
    for row in rows:
        status = status_text(row.status, end_text(row.termination))
        _print_run(short(row.run_id), row.agent, status, row.thread_id)
    say(f"The second process has ended after SIGTERM, with exit status {second.exit_status}.")
    return {
        "url": second.urls[ARCHIVIST],
        "pid": second.pid,
        "exit_status": second.exit_status,
        "db": str(second.log),
        "runs": [{"thread_id": row.thread_id, "agent": row.agent, "status": row.status} for row in rows],
    }
