"""A process that executes runs, for the tests to control from outside and to kill: executor.py LOG.

On each of its threads it keeps a run going, which asks a person twice and then ends. It says `ready`, and
begins when it is sent a line. Behind that, each byte lets one request or call pass the gate, at which all of
them wait. It says what happens:

started ID   a run is in the log
asks         a request or a call is at the gate
leaves       one is gone that did not pass
commits      a commit has returned
"""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from threadlog.engine import Agent, ModelRequest, Run, Runtime, ScriptedModel, ToolCall, tool
from threadlog.engine.models.model import Part
from threadlog.store.errors import NotFound, ThreadAlreadyRunning

THREADS = ("t1", "t2", "t3")

Pass = Callable[[], Awaitable[None]]


def say(text: str) -> None:
    # One write for each line, at once: what was said before a kill has arrived.
    os.write(1, f"{text}\n".encode())


class Gate:
    """Where requests and calls wait to be let pass: most of what happens to a run happens meanwhile."""

    def __init__(self) -> None:
        self._granted = anyio.Semaphore(0)

    async def passed(self) -> None:
        say("asks")
        try:
            await self._granted.acquire()
        except anyio.get_cancelled_exc_class():
            say("leaves")
            raise

    async def follow(self) -> None:
        """Open the gate for what may pass, until the controlling process is gone."""
        while True:
            await anyio.wait_readable(0)
            if not (granted := os.read(0, 100)):
                return
            for _ in granted:
                self._granted.release()


class Asking:
    """A model that wants to erase twice in every run, one call after the other."""

    name = "asking"

    def __init__(self, passed: Pass) -> None:
        self._passed = passed

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        await self._passed()
        own = request.messages[-1].run_id
        wanted = [call for m in request.messages if m.run_id == own for call in m.tool_calls]
        number = len(wanted) + 1
        turn = "done" if number > 2 else ToolCall("erase", {}, f"c{number}")
        async for part in ScriptedModel(turn).stream(request):
            yield part


def planner(passed: Pass = checkpoint) -> Agent:
    @tool(needs_approval=True)
    async def erase() -> str:
        """Erase."""
        await passed()
        return "erased"

    return Agent("planner", Asking(passed), tools=[erase])


async def keep_running(runtime: Runtime, thread: str) -> None:
    while True:
        try:
            run = await runtime.start("planner", "go", thread=thread)
            say(f"started {run.run_id}")
        except ThreadAlreadyRunning as err:
            run = runtime.get_run(err.run_id)
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
    gate = Gate()
    async with (
        Runtime.open(path, agents=[planner(gate.passed)]) as runtime,
        anyio.create_task_group() as tasks,
    ):
        runtime.log.listen(partial(say, "commits"))
        for thread in THREADS:
            tasks.start_soon(keep_running, runtime, thread)
        await gate.follow()
        # Nor is anybody there to whom it could say how it ends.
        os._exit(0)


if __name__ == "__main__":
    say("ready")
    # Unbuffered: input after the line belongs to the gate.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        begins = stdin.readline()
    if begins:
        anyio.run(execute, sys.argv[1])
