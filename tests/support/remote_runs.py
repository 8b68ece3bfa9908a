"""Remote runs: against a server on loopback, looked at afterwards, and taken over from the dead."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from a2a.types import Role, Task
from anyio import fail_after

from support.remote_host import RemoteServer
from support.runtimes import open_runtime
from threadlog.engine import RemoteAgent, Runtime
from threadlog.engine.events.event import RunResult
from threadlog.reducers import replay
from threadlog.store import Log, Message
from threadlog.store.errors import ChangesetExists, RunError, VersionConflict

PATIENCE = 30.0
"""Seconds after which what a test waits for does not come."""


def helper(server: RemoteServer, **fields: Any) -> RemoteAgent:
    return RemoteAgent("helper", server.url, **fields)


async def follow(path: Path, agent: RemoteAgent, prompt: str) -> RunResult:
    """One run of the agent on thread t1, up to its end or to where it waits. The log is looked at."""
    async with open_runtime(path, agent) as runtime:
        with fail_after(PATIENCE):
            return await (await runtime.start(agent.name, prompt, thread="t1", id="run")).result()


async def adopt(runtime: Runtime, run_id: str) -> RunResult:
    """Resume a run whose process is dead in this runtime, and return its end."""
    row = runtime.log.run(run_id)
    if row and row.status != "done":
        # Another process may have been faster.
        with suppress(RunError, VersionConflict, ChangesetExists):
            await runtime._parts.commands._resumer.resume(row)
    with fail_after(PATIENCE):
        return await runtime.get_run(run_id).result()


def thread(path: Path, name: str = "t1") -> tuple[Message, ...]:
    """What a person reads there."""
    with Log.open(path, readonly=True) as log:
        return tuple(each for each in replay(log.read(name)).messages if each.visibility == "all")


def said(path: Path) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in thread(path)]


def remote_history(task: Task) -> list[tuple[str, str]]:
    """What was said in a task, and what it came to: as its mirror should have it."""
    status = [task.status.message] if task.status.HasField("message") else []
    history = [
        ("user" if message.role == Role.ROLE_USER else "assistant", message.parts[0].text)
        for message in [*task.history, *status]
    ]
    return [*history, *(("assistant", artifact.parts[0].text) for artifact in task.artifacts)]
