"""A process of its own that has agents: run_holder.py LOG AGENT. It starts a run, says its id when it waits
or has called a tool, and stays until its input ends.
"""

import sys

import anyio
from anyio.to_thread import run_sync

from support import travel_agents
from threadlog.engine import Agent, Run, Runtime
from threadlog.engine.events.event import RunFinished, ToolCallStarted

AGENTS = [value for value in vars(travel_agents).values() if isinstance(value, Agent)]


async def begun(run: Run) -> None:
    async for event in run:
        if isinstance(event, ToolCallStarted | RunFinished):
            return


async def hold(path: str, agent: str) -> None:
    async with Runtime.open(path, agents=AGENTS) as runtime:
        run = await runtime.start(agent, "do it", thread="held")
        await begun(run)
        sys.stdout.write(f"{run.run_id}\n")
        sys.stdout.flush()
        await run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(hold, sys.argv[1], sys.argv[2])
