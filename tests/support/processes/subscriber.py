"""A process that listens to a run: subscriber.py LOG RUN_ID. It says each fact, with its cursor."""

import sys

import anyio

from threadlog.engine import Runtime


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def follow(path: str, run_id: str) -> None:
    async with Runtime.open(path, agents=[]) as runtime:
        say("ready")
        async for event in runtime.subscribe(run_id):
            say(f"{event.cursor} {type(event).__name__}")


if __name__ == "__main__":
    anyio.run(follow, sys.argv[1], sys.argv[2])
