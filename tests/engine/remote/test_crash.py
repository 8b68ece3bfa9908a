"""Processes that follow a remote task are killed: the task is submitted once, and mirrored whole.

THREADLOG_LONG=1 kills more of them (`make crash`), THREADLOG_SEED at other moments.
"""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checks import assert_sound
from support.log_reads import read_reasons
from support.programs import go, ready, started
from support.remote_host import RemoteHost, RemoteServer
from support.remote_runs import adopt, helper, remote_history, said
from threadlog.engine import Runtime
from threadlog.engine.remote import IDEMPOTENT

pytestmark = [pytest.mark.anyio, pytest.mark.long]

LONG = bool(os.environ.get("THREADLOG_LONG"))
FIRST_SEED = int(os.environ.get("THREADLOG_SEED", 0))


@pytest.fixture(params=["asyncio", "trio"] if LONG else ["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture(params=[True, False], ids=["streamed", "polled"])
def server(request: pytest.FixtureRequest, remote_host: RemoteHost) -> Iterator[RemoteServer]:
    with remote_host.serve(streaming=request.param) as server:
        yield server


def follow_until(path: Path, server: RemoteServer, prompt: str, moment: int) -> None:
    """A process that resumes the run, and is killed at a moment of the server: a half request."""
    with started(path, server.url, prompt, script="remote_run.py") as process:
        ready(process)
        with server.killing(process.pid, after=moment):
            go(process)
            # Its output ends when it does. Not reaped yet, its id belongs to no other process.
            assert process.stdout
            assert process.stdout.read() == ""
    sys.stdout.write("1 kills\n")


@pytest.mark.parametrize("moment", [3, 4, 5, 6] if LONG else [3, 5])
async def test_a_killed_run_goes_on_with_its_task(path: Path, server: RemoteServer, moment: int) -> None:
    follow_until(path, server, "echo hello", moment)
    async with Runtime.open(path, agents=[helper(server)]) as runtime:
        result = await adopt(runtime, "run")

    (task,) = server.tasks
    assert (result.output, said(path)) == ("echo hello", remote_history(task))
    assert_sound(path, [])


@pytest.mark.parametrize("seed", range(5 if LONG else 1))
async def test_killed_again_and_again_it_submits_once(path: Path, server: RemoteServer, seed: int) -> None:
    moments = random.Random(FIRST_SEED + seed)
    for _ in range(4 if LONG else 2):
        follow_until(path, server, "ask which colour?", moments.randint(3, 8))
    async with Runtime.open(path, agents=[helper(server)]) as runtime:
        assert (await adopt(runtime, "run")).status == "waiting"
        await runtime.steer("run", "blue")
        result = await adopt(runtime, "run")

    (task,) = server.tasks
    assert (result.output, said(path)) == ("blue", remote_history(task))
    assert_sound(path, [])


async def test_where_messages_are_known_by_their_ids_none_is_looked_for(
    path: Path, remote_host: RemoteHost
) -> None:
    with remote_host.serve(extensions=(IDEMPOTENT,)) as server:
        follow_until(path, server, "echo hello", 3)
        async with Runtime.open(path, agents=[helper(server)]) as runtime:
            await adopt(runtime, "run")

    sent = [given["message"]["messageId"] for method, given, _ in server.asked if method == "SendMessage"]
    assert "ListTasks" not in server.methods()
    assert sent == ["run:1:1", "run:1:1"]


async def test_a_run_that_was_cancelled_while_nobody_was_there_cancels_its_task(
    path: Path, server: RemoteServer
) -> None:
    follow_until(path, server, "wait", 4)
    async with Runtime.open(path, agents=[helper(server)]) as runtime:
        await runtime.cancel("run")
        result = await adopt(runtime, "run")

    assert (result.termination.type, result.termination.detail) == ("cancelled", None)
    assert read_reasons(path)[-1] == "run_finished"
