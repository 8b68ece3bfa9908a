"""A process of its own that recovers what it finds: recoverer.py LOG. It begins when it is sent a line."""

import os
import sys

import anyio

from threadlog.engine import Runtime


async def recover(path: str) -> None:
    async with Runtime.open(path, agents=[]):
        pass


if __name__ == "__main__":
    os.write(1, b"ready\n")
    sys.stdin.readline()
    anyio.run(recover, sys.argv[1])
