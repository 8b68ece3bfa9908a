"""A process that follows a remote task, to be killed: remote_run.py LOG URL PROMPT.

It starts the run `run` on thread t1, or resumes it. It prints `ready`, and begins when it receives a line.
"""

import sys

import anyio

from support.remote_runs import adopt
from threadlog.engine import RemoteAgent, Runtime


async def follow(path: str, url: str, prompt: str) -> None:
    async with Runtime.open(path, agents=[RemoteAgent("helper", url)]) as runtime:
        if runtime.log.run("run") is None:
            await runtime.start("helper", prompt, thread="t1", id="run")
            await runtime.get_run("run").result()
        else:
            await adopt(runtime, "run")


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    anyio.run(follow, sys.argv[1], sys.argv[2], sys.argv[3])
