"""Servers that misbehave: the run continues as far as it can, and reports what was wrong."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from a2a.types import Role

from support.log_reads import read_history, read_reasons
from support.remote_host import RemoteHost, RemoteServer
from support.remote_runs import follow, helper, remote_history, said
from support.runtimes import open_runtime
from support.waiting import wait_until
from threadlog.engine import Decision, RemoteAgent, Runtime
from threadlog.engine.events.event import RunResult
from threadlog.reducers.remote import remote_task
from threadlog.reducers.tool_call import ToolCallState
from threadlog.store.changeset import Termination
from threadlog.store.errors import DefinitionError

pytestmark = pytest.mark.anyio

FAULTS = [
    ("card", "500"),
    ("card", "garbage"),
    ("SendMessage", "500"),
    ("SendMessage", "garbage"),
    ("SendMessage", "hang"),
    ("SendMessage", "drop"),
    ("SendMessage", "cut"),
    ("GetTask", "hang"),
    ("GetTask", "cut"),
    ("SubscribeToTask", "500"),
    ("SubscribeToTask", "cut"),
]


@pytest.fixture
def server(remote_host: RemoteHost) -> Iterator[RemoteServer]:
    with remote_host.serve() as server:
        yield server


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has less time for its answers, and a cancelled task for its end."""
    monkeypatch.setattr("threadlog.engine.remote.client.DEADLINE", 0.3)
    monkeypatch.setattr("threadlog.engine.remote.remote_loop.CANCEL_SECONDS", 0.5)
    monkeypatch.setattr("threadlog.engine.remote.remote_error.SHORTEST_WAIT", 0.05)


async def unsure(runtime: Runtime, server: RemoteServer) -> ToolCallState:
    """The question of a run whose server lists no tasks, and lost its answer to the submission."""
    server.will("SendMessage", "drop", "none")
    server.will("ListTasks", "404")
    result = await (await runtime.start("helper", "echo hello", thread="t1", id="run")).result()
    assert result.status == "waiting"
    (asked,) = runtime.pending("run")
    return asked


async def decided(runtime: Runtime, decision: Decision) -> RunResult:
    return await (await runtime.decide("run", [decision])).result()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("method", "fault"), FAULTS)
async def test_what_goes_wrong_once_is_tried_again(
    path: Path, server: RemoteServer, method: str, fault: str
) -> None:
    server.will(method, fault, "none")

    result = await follow(path, helper(server), "echo hello")

    (task,) = server.tasks
    assert (result.output, said(path)) == ("echo hello", remote_history(task))


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("method", ["card", "SendMessage", "GetTask"])
async def test_what_stays_wrong_ends_the_run_when_its_patience_does(
    path: Path, server: RemoteServer, method: str
) -> None:
    server.will(method, "500")

    result = await follow(path, helper(server, patience=0.2), "echo hello")

    assert result.termination.type == "error"
    assert "unreachable for" in str(result.termination.detail)
    assert "500" in str(result.termination.detail)


async def test_where_nobody_listens_the_run_says_so(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    result = await follow(path, RemoteAgent("helper", f"http://127.0.0.1:{port}", patience=0.1), "hello")

    assert result.termination.type == "error"
    assert f"unreachable for 0 s: http://127.0.0.1:{port}: " in str(result.termination.detail)


async def test_what_is_refused_is_not_tried_again(path: Path, server: RemoteServer) -> None:
    server.will("SendMessage", "401")

    result = await follow(path, helper(server), "echo hello")

    assert result.termination.type == "error"
    assert server.methods().count("SendMessage") == 1


async def test_a_task_that_the_server_has_forgotten_is_lost(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        run = await runtime.start("helper", "ask what?", thread="t1", id="run")
        await run.result()
        server.forget()
        await runtime.steer("run", "this")
        result = await runtime.get_run("run").result()

    assert result.termination.type == "error"
    assert "Task not found" in str(result.termination.detail)


async def test_a_run_in_flight_goes_on_with_the_card_that_there_is(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        await (await runtime.start("helper", "ask what?", thread="t1", id="run")).result()
        server.describe("does something else")
        await runtime.steer("run", "this")
        result = await runtime.get_run("run").result()

    cards = [each.agent.specification["card"] for each in read_history(path) if each.agent]
    assert result.output == "this"
    assert [card["description"] if isinstance(card, dict) else card for card in cards] == [
        None,
        "follows instructions",
        None,
        "does something else",
    ]


async def test_a_server_may_name_the_conversation_itself(path: Path, server: RemoteServer) -> None:
    server.will("SendMessage", "rename")

    result = await follow(path, helper(server), "echo hello")

    assert result.output == "echo hello"
    state = [
        each.payload for c in read_history(path) for each in c.actions if each.action == "RecordRemoteTask"
    ]
    assert {seen["context"] for seen in state} == {"theirs"}


async def test_a_message_that_the_server_files_elsewhere_is_found(path: Path, server: RemoteServer) -> None:
    server.will("SendMessage", "rename and drop", "none")

    await follow(path, helper(server), "echo hello")

    assert len(server.tasks) == 1


async def test_a_token_goes_to_no_other_host(
    path: Path, server: RemoteServer, remote_host: RemoteHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELPER_TOKEN", "s3cret")
    with remote_host.serve() as other:
        server.describe("sends you elsewhere", at=other.url)
        result = await follow(path, helper(server, token_env="HELPER_TOKEN"), "echo hello")

        assert other.asked == []
    assert "which do not get its token" in str(result.termination.detail)


async def test_a_token_that_is_sent_back_is_not_kept(
    path: Path, server: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELPER_TOKEN", "s3cret")
    server.describe("knows s3cret")

    async with open_runtime(path) as runtime:
        agent = await runtime.discover(server.url, token_env="HELPER_TOKEN")

    assert agent.description == "knows ***"


async def test_a_token_that_is_not_there_is_named(path: Path, server: RemoteServer) -> None:
    result = await follow(path, helper(server, token_env="NO_SUCH_TOKEN"), "echo hello")

    assert "set NO_SUCH_TOKEN" in str(result.termination.detail)
    assert server.asked == []


@pytest.mark.usefixtures("hurried")
async def test_a_cancellation_that_nobody_hears_is_not_confirmed(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        await runtime.start("helper", "wait", thread="t1", id="run")
        await wait_until(runtime.log, lambda: remote_task(runtime.state("t1")).status == "working")
        server.will("CancelTask", "500")
        await runtime.cancel("run", wait=True)
        result = await runtime.get_run("run").result()

    assert result.termination.type == "cancelled"
    assert "requested but not confirmed" in str(result.termination.detail)


async def steered(runtime: Runtime) -> None:
    """Steer a run with a working task, until the log says that the task does not show the message."""
    await runtime.start("helper", "wait", thread="t1", id="run")
    await wait_until(runtime.log, lambda: remote_task(runtime.state("t1")).status == "working")
    await runtime.steer("run", "echo and this")
    path = runtime.log.path
    await wait_until(runtime.log, lambda: read_reasons(path)[-2:] == ["user_message", "mirrored"])


def prompts(server: RemoteServer) -> list[list[str]]:
    """The messages of the user, task by task."""
    return [
        [message.parts[0].text for message in task.history if message.role == Role.ROLE_USER]
        for task in server.tasks
    ]


async def test_a_message_that_its_task_ends_without_begins_another_task(
    path: Path, server: RemoteServer
) -> None:
    server.will("SendMessage", "none", "ignore", "none")
    async with open_runtime(path, helper(server)) as runtime:
        await steered(runtime)
        waiting = [message.parts for message in remote_task(runtime.state("t1")).outbox]
        server.release()
        result = await runtime.get_run("run").result()

    assert waiting == [({"text": "echo and this"},)]
    assert (prompts(server), result.output) == ([["wait"], ["echo and this"]], "echo and this")


@pytest.mark.usefixtures("hurried")
async def test_a_message_that_a_busy_server_has_queued_is_not_sent_again(
    path: Path, server: RemoteServer
) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        # The server answers when its task has news: not in time.
        await steered(runtime)
        server.release()
        await runtime.get_run("run").result()

    assert server.methods().count("SendMessage") == 2


async def test_whether_a_message_arrived_is_asked_where_nobody_knows(
    path: Path, server: RemoteServer
) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        asked = await unsure(runtime, server)

    assert asked.suspension
    assert asked.suspension.action == "remote:unknown"
    assert asked.suspension.parameters == {"message": "run:1:1", "context": "t1"}
    assert len(server.tasks) == 1


async def test_told_which_task_it_is_the_run_follows_it(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        asked = await unsure(runtime, server)
        result = await decided(runtime, Decision.approve(asked.call_id, server.tasks[0].id))

    assert (result.output, len(server.tasks)) == ("echo hello", 1)


async def test_told_that_it_did_not_arrive_the_run_sends_it_again(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        asked = await unsure(runtime, server)
        result = await decided(runtime, Decision.approve(asked.call_id))

    assert (result.output, len(server.tasks)) == ("echo hello", 2)


async def test_told_to_stop_the_run_stops(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        asked = await unsure(runtime, server)
        result = await decided(runtime, Decision.deny(asked.call_id, "leave it"))

    assert result.termination == Termination(type="stopped", code="denied", detail="leave it")


@pytest.mark.parametrize("url", ["ftp://host", "host:80", "http://", "http://me:secret@host"])
async def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(DefinitionError, match="the address of agent 'helper'"):
        RemoteAgent("helper", url)


IMPORTS = "import sys, threadlog.engine; print([m for m in ('a2a', 'httpx', 'google') if m in sys.modules])"
MISSING = (
    "import sys; sys.modules['a2a'] = None; import threadlog.engine as e; e.RemoteAgent('h', 'http://h')"
)


async def test_the_sdk_is_imported_only_when_it_is_used() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


async def test_without_the_sdk_the_extra_is_named() -> None:
    ran = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=False)

    assert "pip install 'threadlog[a2a]'" in ran.stderr
