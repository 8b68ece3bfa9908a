"""Runs that follow a task of another server: the SDK's own, which streams or is polled."""

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from a2a.types import Role, TaskState

from support.log_reads import read_history, read_reasons
from support.remote_host import RemoteHost, RemoteServer
from support.remote_runs import follow, helper, remote_history, said
from support.runtimes import open_runtime
from support.waiting import wait_until
from threadlog.engine import Decision, RemoteAgent, Runtime
from threadlog.engine.events.event import AssistantTurn, ToolCallSuspended
from threadlog.reducers.remote import remote_task
from threadlog.store import Message
from threadlog.store.changeset import Termination
from threadlog.store.errors import DefinitionError, RunError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.long)], ids=["streamed", "polled"])
def server(request: pytest.FixtureRequest, remote_host: RemoteHost) -> Iterator[RemoteServer]:
    with remote_host.serve(streaming=request.param) as server:
        yield server


async def begun(runtime: Runtime, server: RemoteServer, prompt: str) -> str:
    """A run whose task is executed there."""
    run = await runtime.start("helper", prompt, thread="t1", id="run")
    await wait_until(runtime.log, lambda: remote_task(runtime.state("t1")).status == "working")
    return run.run_id


async def waiting(runtime: Runtime, prompt: str) -> str:
    """The ticket of the question that a run waits with."""
    result = await (await runtime.start("helper", prompt, thread="t1", id="run")).result()
    assert result.status == "waiting"
    (call,) = runtime.pending("run")
    assert call.suspension
    return call.suspension.ticket


async def test_the_mirror_is_the_remote_conversation(path: Path, server: RemoteServer) -> None:
    await follow(path, helper(server), "echo hello")

    (task,) = server.tasks
    assert said(path) == remote_history(task)


async def test_the_output_is_that_of_the_task(path: Path, server: RemoteServer) -> None:
    result = await follow(path, helper(server), "echo hello")

    assert (result.status, result.termination.type, result.output) == ("done", "natural_end", "echo hello")


async def test_an_output_that_is_data_is_json(path: Path, server: RemoteServer) -> None:
    result = await follow(path, helper(server), 'count {"apples": [1, 2.5, null]}')

    assert result.output == {"apples": [1, 2.5, None]}


@pytest.mark.parametrize(("prompt", "state"), [("fail no luck", "failed"), ("reject no luck", "rejected")])
async def test_a_task_that_fails_is_an_error_with_its_words(
    path: Path, server: RemoteServer, prompt: str, state: str
) -> None:
    result = await follow(path, helper(server), prompt)

    assert result.termination.type == "error"
    assert str(result.termination.detail).endswith(f"ended as {state}: no luck")


@pytest.mark.does_not_replay("the runtime may be closed before the first request is recorded")
async def test_what_is_sent_is_in_the_log_before(path: Path, server: RemoteServer) -> None:
    server.will("card", "hang")

    async with Runtime.open(path, agents=[helper(server)]) as runtime:
        await runtime.start("helper", "echo hello", thread="t1", id="run")
        remote = runtime.log.state("t1")["__run"]["__remote"]

    assert remote["context"] == "t1"
    assert remote["outbox"] == [{"id": "run:1:1", "parts": [{"text": "echo hello"}]}]


async def test_the_server_is_told_our_own_ids(path: Path, server: RemoteServer) -> None:
    await follow(path, helper(server), "echo hello")

    (task,) = server.tasks
    assert (task.context_id, task.history[0].message_id) == ("t1", "run:1:1")


async def test_every_status_is_a_changeset(path: Path, server: RemoteServer) -> None:
    await follow(path, helper(server), "ask what?")

    seen = [
        action.payload
        for each in read_history(path)
        for action in each.actions
        if action.action == "RecordRemoteTask"
    ]
    assert [action["status"] for action in seen][-1] == "input_required"
    assert read_reasons(path)[0] == "run_started"
    assert set(read_reasons(path)[1:-1]) == {"mirrored"}


async def test_listeners_are_told_what_the_remote_agent_says(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        run = await runtime.start("helper", "echo hello")
        told = [event.message.content async for event in run if isinstance(event, AssistantTurn)]

    assert told[-1] == "echo hello"


@pytest.mark.parametrize("prompt", ["ask which colour?", "sign in please"])
async def test_a_task_that_asks_is_a_run_that_waits(path: Path, server: RemoteServer, prompt: str) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        run = await runtime.start("helper", prompt, thread="t1", id="run")
        asked = [event.suspension.message async for event in run if isinstance(event, ToolCallSuspended)]

        assert [row.status for row in runtime.active_runs()] == ["waiting"]
    assert asked == [prompt.partition(" ")[2]]


async def test_a_decision_is_told_to_the_task(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        ticket = await waiting(runtime, "ask which colour?")
        run = await runtime.decide("run", [Decision.approve(ticket, "blue", by="ann")])
        result = await run.result()

    assert (result.output, len(server.tasks)) == ("blue", 1)


async def test_words_answer_a_question_too(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        await waiting(runtime, "ask which colour?")
        await runtime.steer("run", "red", by="ann")
        result = await runtime.get_run("run").result()

    assert (result.output, len(server.tasks)) == ("red", 1)


async def test_a_refusal_is_told_with_its_reason(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        ticket = await waiting(runtime, "ask which colour?")
        result = await (await runtime.decide("run", [Decision.deny(ticket, "none of them")])).result()

    assert result.output == "none of them"


async def test_a_cancelled_run_cancels_its_task(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        await begun(runtime, server, "wait")
        await runtime.cancel("run", wait=True)
        result = await runtime.get_run("run").result()

    assert result.termination == Termination(type="cancelled")
    assert remote_states(server) == ["TASK_STATE_CANCELED"]


async def test_a_cancelled_run_that_waits_cancels_its_task(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        await waiting(runtime, "ask which colour?")
        await runtime.cancel("run", wait=True)

    assert remote_states(server) == ["TASK_STATE_CANCELED"]


async def test_closing_the_runtime_cancels_the_task(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        await begun(runtime, server, "wait")

    assert remote_states(server) == ["TASK_STATE_CANCELED"]
    assert read_reasons(path)[-1] == "run_finished"


async def test_a_run_that_is_broken_off_from_outside_cancels_the_task(
    path: Path, server: RemoteServer
) -> None:
    with anyio.CancelScope() as scope:
        async with open_runtime(path, helper(server)) as runtime:
            await begun(runtime, server, "wait")
            scope.cancel()
            await anyio.sleep_forever()

    assert remote_states(server) == ["TASK_STATE_CANCELED"]


async def test_a_steered_run_takes_one_more_task_of_the_conversation(
    path: Path, server: RemoteServer
) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        run_id = await begun(runtime, server, "wait")
        await runtime.steer(run_id, "echo and this")
        server.release()
        result = await runtime.get_run(run_id).result()

    texts = [
        message.parts[0].text
        for task in server.tasks
        for message in task.history
        if message.role == Role.ROLE_USER
    ]
    assert {"wait", "echo and this"} <= set(texts)
    assert result.termination.type == "natural_end"


async def test_a_second_run_goes_on_with_the_conversation(path: Path, server: RemoteServer) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        for prompt in ("echo one", "echo two"):
            await (await runtime.start("helper", prompt, thread="t1")).result()

    assert [task.context_id for task in server.tasks] == ["t1", "t1"]


@pytest.mark.parametrize(
    "prompt",
    ["  ", [], [Message(id="m", role="system", content="be brief")]],
    ids=["blank", "none", "system"],
)
async def test_what_no_user_says_is_refused(
    path: Path, server: RemoteServer, prompt: str | list[Message]
) -> None:
    async with open_runtime(path, helper(server)) as runtime:
        with pytest.raises(RunError, match="non-empty user messages"):
            await runtime.start("helper", prompt, thread="t1")

        assert runtime.log.head("t1") == 0


async def test_an_agent_is_discovered_under_the_name_of_its_card(path: Path, server: RemoteServer) -> None:
    async with Runtime.open(path, agents=[]) as runtime:
        agent = await runtime.discover(server.url)
        result = await (await runtime.start("helper", "echo hello")).result()

    assert (agent.name, agent.description) == ("helper", "follows instructions")
    assert result.output == "echo hello"


async def test_a_name_that_is_taken_is_not_discovered(path: Path, server: RemoteServer) -> None:
    other = RemoteAgent("helper", "http://127.0.0.1:9")
    async with Runtime.open(path, agents=[other]) as runtime:
        with pytest.raises(DefinitionError, match="another agent has the name 'helper'"):
            await runtime.discover(server.url)

        assert list(runtime.registry.agents) == [other]


async def test_discovered_again_an_agent_is_as_it_is_now(path: Path, server: RemoteServer) -> None:
    async with Runtime.open(path, agents=[]) as runtime:
        before = await runtime.discover(server.url)
        server.describe("does something else")
        after = await runtime.discover(server.url)

        assert list(runtime.registry.agents) == [after]
    assert before.snapshot().fingerprint != after.snapshot().fingerprint


async def test_where_there_is_no_card_nothing_is_discovered(path: Path, server: RemoteServer) -> None:
    async with Runtime.open(path, agents=[]) as runtime:
        with pytest.raises(DefinitionError, match="no agent was found"):
            await runtime.discover(f"{server.url}/nowhere")


async def test_a_token_is_sent_and_never_written(
    path: Path, server: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELPER_TOKEN", "s3cret-t0ken")
    agent = helper(server, token_env="HELPER_TOKEN")
    result = await follow(path, agent, f"echo {os.environ['HELPER_TOKEN'][::-1]}")

    files = [file.read_bytes() for file in path.parent.iterdir() if file.is_file()]
    assert {headers.get("authorization") for _, _, headers in server.asked} == {"Bearer s3cret-t0ken"}
    assert not any(b"s3cret-t0ken" in file for file in files)
    assert "s3cret-t0ken" not in repr(agent) + repr(result)


def remote_states(server: RemoteServer) -> list[str]:
    return [TaskState.Name(task.status.state) for task in server.tasks]
