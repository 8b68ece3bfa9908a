"""Agents that have an agent on another machine work for them: a server process with a log of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import JsonValue

from support.a2a_servers import AGENTS, serving
from support.agents import delegating_agent
from support.command import run
from support.delegation import call_with_last_run, tool_answers
from support.log_reads import read_messages
from support.remote_host import RemoteHost
from support.remote_runs import helper as followed
from support.runtimes import open_runtime
from support.waiting import wait_until
from threadlog.engine import Decision, Permission, RemoteAgent, Runtime, ToolCall
from threadlog.engine.runs.sub_agents import SubAgent
from threadlog.reducers import replay
from threadlog.reducers.remote import remote_task
from threadlog.store import Log, Message
from threadlog.store.changeset import control_stream
from threadlog.store.listing import RunRow

pytestmark = pytest.mark.anyio


class Remote(NamedTuple):
    """A server, and the log that it keeps."""

    urls: dict[str, str]
    path: Path

    def agent(self, name: str) -> RemoteAgent:
        return RemoteAgent("helper", self.urls[name])

    def run_on(self, thread: str) -> RunRow:
        with Log.open(self.path, readonly=True) as log:
            (row,) = log.runs(thread)
        return row

    def end_on(self, thread: str) -> str | None:
        """How the run on a thread ended."""
        termination = self.run_on(thread).termination
        return termination.type if termination else None

    def said_on(self, thread: str) -> list[tuple[str, str]]:
        with Log.open(self.path, readonly=True) as log:
            return said(replay(log.read(thread)).messages)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """One for all tests: each delegation has a thread of its own there. In the end its log is whole."""
    path = tmp_path_factory.mktemp("remote") / "remote.db"
    with serving(path) as server:
        yield Remote(server.urls, path)
    assert run(f"verify --db {path}").code == 0
    assert run(f"replay --level run --agents {AGENTS} --db {path}").code == 0


def said(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    """What a user and an agent have said to each other."""
    spoken = [each for each in messages if each.role in ("user", "assistant") and each.visibility == "all"]
    return [(message.role, message.content) for message in spoken if message.content]


def delegate(prompt: str = "Find inns", **arguments: JsonValue) -> ToolCall:
    return ToolCall("agent_run", {"agent_id": "helper", "prompt": prompt, **arguments})


async def test_a_remote_agent_works_and_its_answer_is_read_here(path: Path, remote: Remote) -> None:
    owner = delegating_agent(delegate(), call_with_last_run("agent_output"), "done", agents=["helper"])
    async with open_runtime(path, owner, remote.agent("talker")) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")

    ran, read = tool_answers(read_messages(path))
    assert ran == {"run_id": sub.run_id, "agent_id": "helper", "status": "completed", "error": None}
    assert read == {**ran, "output": "Three days in Kyoto."}


async def test_the_mirror_is_the_thread_on_the_other_machine(path: Path, remote: Remote) -> None:
    owner = delegating_agent(delegate(), agents=["helper"])
    async with open_runtime(path, owner, remote.agent("talker")) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        mirror = said(runtime.messages(sub.thread_id))

    assert mirror == remote.said_on(sub.thread_id)
    assert mirror == [("user", "Find inns"), ("assistant", "Three days in Kyoto.")]


async def test_a_remote_agent_in_the_background_outlives_the_run_and_is_read_by_the_next(
    path: Path, remote: Remote
) -> None:
    turns = delegate(background=True), "it works", call_with_last_run("agent_output"), "done"
    async with open_runtime(
        path, delegating_agent(*turns, agents=["helper"]), remote.agent("talker")
    ) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        await runtime.get_run(sub.run_id).result()
        await (await runtime.start("planner", "well?", thread="t1")).result()

    read = tool_answers(read_messages(path))[-1]
    assert (read["status"], read["output"]) == ("completed", "Three days in Kyoto.")


async def at_work(runtime: Runtime) -> SubAgent:
    """The sub-agent, once it is known here that it works there."""
    await wait_until(
        runtime.log,
        lambda: any(
            remote_task(runtime.state(sub.thread_id)).status == "working"
            for sub in runtime.sub_agents("t1")
            if sub.epoch
        ),
    )
    (sub,) = runtime.sub_agents("t1")
    return sub


async def test_a_remote_agent_that_is_stopped_is_stopped_where_it_works(path: Path, remote: Remote) -> None:
    turns = delegate(background=True), "it works", call_with_last_run("agent_stop"), "done"
    async with open_runtime(
        path, delegating_agent(*turns, agents=["helper"]), remote.agent("stuck")
    ) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        sub = await at_work(runtime)
        await (await runtime.start("planner", "enough", thread="t1")).result()

    begun, stopped = tool_answers(read_messages(path))
    assert (begun["status"], stopped["status"]) == ("running", "stopped")
    assert stopped["error"] == "stopped by owner request"
    assert remote.end_on(sub.thread_id) == "cancelled"


async def test_to_cancel_the_owner_cancels_the_remote_run(path: Path, remote: Remote) -> None:
    owner = delegating_agent(delegate(), agents=["helper"])
    async with open_runtime(path, owner, remote.agent("stuck")) as runtime:
        owning = await runtime.start("planner", "go", thread="t1")
        sub = await at_work(runtime)
        await runtime.cancel(owning.run_id, wait=True)

    assert remote.end_on(sub.thread_id) == "cancelled"


async def test_a_remote_agent_that_asks_shows_its_tickets_here_and_is_answered_from_here(
    path: Path, remote: Remote
) -> None:
    turns = delegate("pay it"), "it waits", call_with_last_run("agent_output"), "done"
    async with open_runtime(
        path, delegating_agent(*turns, agents=["helper"]), remote.agent("payer")
    ) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        (ticket,) = [call.suspension.ticket for call in sub.pending if call.suspension]
        await (await runtime.decide(sub.run_id, [Decision.approve(ticket)])).result()
        await (await runtime.start("planner", "and?", thread="t1")).result()

    ran, read = tool_answers(read_messages(path))
    assert (ran["status"], [each["ticket"] for each in ran["tickets"]]) == ("waiting", [ticket])
    assert (read["status"], read["output"]) == ("completed", "The tool said: paid 7")


async def test_the_answer_that_is_given_here_is_in_the_log_there(path: Path, remote: Remote) -> None:
    owner = delegating_agent(delegate("pay it"), agents=["helper"])
    async with open_runtime(path, owner, remote.agent("payer")) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")
        decision = Decision.deny(sub.pending[0].call_id, "too much")
        await (await runtime.decide(sub.run_id, [decision])).result()

    there = remote.run_on(sub.thread_id)
    with Log.open(remote.path, readonly=True) as log:
        (entry,) = [each.entry for each in log.read(control_stream(there.run_id)) if each.entry]
    assert isinstance(entry.content, dict)
    assert (entry.by, entry.content["approved"], entry.content["reason"]) == ("a2a", False, "too much")


async def test_a_remote_agent_knows_no_fork_of_the_conversation(path: Path, remote: Remote) -> None:
    owner = delegating_agent(delegate(fork_context=True), agents=["helper"])
    async with open_runtime(path, owner, remote.agent("talker")) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        assert runtime.sub_agents("t1") == []

    refusal = "[invalid_arguments] fork_context is only supported for hosted local agents"
    assert tool_answers(read_messages(path)) == [{"error": refusal}]


async def test_a_remote_agent_that_was_stopped_does_not_go_on(path: Path, remote: Remote) -> None:
    turns = (
        delegate(background=True),
        "it works",
        call_with_last_run("agent_stop"),
        call_with_last_run("agent_run"),
        "done",
    )
    async with open_runtime(
        path, delegating_agent(*turns, agents=["helper"]), remote.agent("stuck")
    ) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        sub = await at_work(runtime)
        await (await runtime.start("planner", "enough", thread="t1")).result()

    refusal = f"Run '{sub.run_id}' is remote and cannot be resumed; start a new run with agent_id"
    assert tool_answers(read_messages(path))[-1] == {"error": f"[invalid_state] {refusal}"}


async def test_what_the_owner_is_permitted_keeps_it_from_no_remote_agent(path: Path, remote: Remote) -> None:
    """a mirror has no state of its own to which it could be handed on"""
    policy: JsonValue = {"rules": {"agent_run": "allow"}}
    owner = delegating_agent(delegate(), agents=["helper"], behaviors=[Permission()])
    async with open_runtime(path, owner, remote.agent("talker")) as runtime:
        owning = await runtime.start("planner", "go", thread="t1", state={"permission_policy": policy})
        await owning.result()
        (sub,) = runtime.sub_agents("t1")
        assert "permission_policy" not in runtime.state(sub.thread_id)

    assert sub.status == "completed"


async def test_a_remote_agent_that_fails_is_a_failed_one_with_its_words(path: Path, remote: Remote) -> None:
    owner = delegating_agent(delegate(), agents=["helper"])
    async with open_runtime(path, owner, remote.agent("failing")) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        (sub,) = runtime.sub_agents("t1")

    assert sub.status == "failed"
    assert str(sub.error).endswith("no such key")


async def test_where_nobody_knows_whether_a_job_has_arrived_the_owner_sees_the_question(
    path: Path, remote_host: RemoteHost
) -> None:
    owner = delegating_agent(delegate("echo hello"), "it waits", agents=["helper"])
    with remote_host.serve() as server:
        server.will("SendMessage", "drop", "none")
        server.will("ListTasks", "404")
        async with open_runtime(path, owner, followed(server)) as runtime:
            await (await runtime.start("planner", "go", thread="t1")).result()
            (sub,) = runtime.sub_agents("t1")
            (asked,) = sub.pending
            assert asked.suspension

    (ran,) = tool_answers(read_messages(path))
    (shown,) = ran["tickets"]
    assert (ran["status"], asked.name, len(server.tasks)) == ("waiting", "remote_submission", 1)
    assert (shown["ticket"], shown["tool"]) == (asked.suspension.ticket, "remote_submission")
