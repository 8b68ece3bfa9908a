"""A process that executes runs, for the tests to control from outside and to kill: executor.py LOG.

On each of its threads it keeps a run going, which asks a person twice and then ends. It says the id of every
run that it has started. It says `ready`, and begins when it is sent a line.
"""

import os
import sys
from collections.abc import AsyncIterator

import anyio

from threadlog.engine import Agent, ModelRequest, Run, Runtime, ScriptedModel, ToolCall, tool
from threadlog.engine.model import Part
from threadlog.store.errors import NotFound, ThreadAlreadyRunning

THREADS = ("t1", "t2", "t3")
SECONDS = 0.02
"""A model takes its time: most of what happens to a run happens then."""


@tool(needs_approval=True)
async def erase() -> str:
    """Erase."""
    await anyio.sleep(SECONDS)
    return "erased"


class Asking:
    """A model that wants to erase twice in every run, one call after the other."""

    name = "asking"

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        await anyio.sleep(SECONDS)
        own = request.messages[-1].run_id
        wanted = [call for m in request.messages if m.run_id == own for call in m.tool_calls]
        number = len(wanted) + 1
        turn = "done" if number > 2 else ToolCall("erase", {}, f"c{number}")
        async for part in ScriptedModel(turn).stream(request):
            yield part


def planner() -> Agent:
    return Agent("planner", Asking(), tools=[erase])


def say(text: str) -> None:
    # One write for each line, at once: what was said before a kill has arrived.
    os.write(1, f"{text}\n".encode())


async def keep_running(runtime: Runtime, thread: str) -> None:
    while True:
        try:
            run = await runtime.start("planner", "go", thread=thread)
            say(run.run_id)
        except ThreadAlreadyRunning as err:
            run = runtime.run(err.run_id)
        await over(runtime, run)


async def over(runtime: Runtime, run: Run) -> None:
    """Return when a run is over, or never begins."""
    async for _ in run:
        pass
    try:
        async for _ in runtime.subscribe(run.run_id):
            pass
    except NotFound:
        pass


async def execute(path: str) -> None:
    async with Runtime.open(path, agents=[planner()]) as runtime, anyio.create_task_group() as tasks:
        for thread in THREADS:
            tasks.start_soon(keep_running, runtime, thread)


if __name__ == "__main__":
    say("ready")
    sys.stdin.readline()
    anyio.run(execute, sys.argv[1])
