"""A process whose disk gets full: python -m campaign.processes.filling LOG

It executes runs one after the other, and prints each durable event, and `room` when a run reaches
its end. When the log cannot be opened or written it says `full`, and waits for a line.
"""

import os
import sys

import anyio

from campaign.processes.writing import planner, tell
from threadlog.engine import Decision, Runtime
from threadlog.store.errors import LogUnavailable


def say(text: str) -> None:
    # One write for each line, at once: what was said before a kill has arrived.
    os.write(1, f"{text}\n".encode())


async def whole_run(runtime: Runtime) -> None:
    run = await runtime.start("planner", "go", thread="t1", if_active="supersede")
    await tell(run, say)
    await run.result()
    (call,) = runtime.pending(run.run_id)
    run = await runtime.decide(run.run_id, [Decision.approve(call.call_id)])
    await tell(run, say)
    await run.result()


async def work(runtime: Runtime) -> None:
    while True:
        try:
            await whole_run(runtime)
            say("room")
        except LogUnavailable:
            await room()


async def room() -> None:
    """Return when the parent reports that there is room."""
    say("full")
    await anyio.to_thread.run_sync(sys.stdin.readline)


async def main(path: str) -> None:
    while True:
        try:
            async with Runtime.open(path, agents=[planner()]) as runtime:
                await work(runtime)
        except LogUnavailable:
            await room()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
