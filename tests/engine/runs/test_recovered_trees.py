"""A run and its sub-agent whose process was killed: both go on, and neither is taken for one that asks."""

from pathlib import Path

import pytest
from a2a.types import ListTasksRequest

from support.a2a_servers import WORKING
from support.checks import assert_replays
from support.delegation import tool_answers
from support.log_reads import read_messages
from support.processes.killed_tree import tree
from support.programs import started
from threadlog.engine import Runtime
from threadlog.engine.runs.sub_agents import sub_agent
from threadlog.engine.serve.a2a.task_list import AgentTasks
from threadlog.reducers.sub_agent import sub_agents_in
from threadlog.store import Changeset, Log

pytestmark = pytest.mark.anyio


def killed_tree(path: Path) -> None:
    """A chief that waited for its worker, and the worker, when their process was killed."""
    with started(path, script="killed_tree.py") as process:
        assert process.stdout
        assert process.stdout.readline() == "at work\n"
        process.kill()
        process.wait()


async def test_who_waited_for_a_sub_agent_waits_for_it_again_when_both_go_on(path: Path) -> None:
    killed_tree(path)
    async with Runtime.open(path, agents=tree(is_mortal=False), orphans="resume") as runtime:
        await runtime.get_run("r1").result()
        (sub,) = runtime.sub_agents("t1")
        output = runtime.output(sub.run_id)
    await assert_replays(path, *tree(is_mortal=False))

    assert [answer["status"] for answer in tool_answers(read_messages(path))] == ["completed"]
    assert (sub.epoch, output) == (2, "I have looked")


async def between_processes(path: Path) -> Log:
    """The log when everything is recovered and nothing has resumed yet."""
    killed_tree(path)
    async with Runtime.open(path, agents=tree(is_mortal=False), orphans="resume") as runtime:
        await runtime.get_run("r1").result()
    with Log.open(path, readonly=True) as log:
        histories = [list(log.read(row.thread_id)) for row in log.threads()]
    between = Log.open(path.with_name("between.db"))
    for history in histories:
        for changeset in until_recovered(history):
            between.append(changeset, changeset.version - 1)
    return between


def until_recovered(history: list[Changeset]) -> list[Changeset]:
    reasons = [changeset.reason for changeset in history]
    return history[: reasons.index("recovered") + 1]


async def test_a_task_that_is_to_go_on_works_and_asks_nobody(path: Path) -> None:
    with await between_processes(path) as log:
        tasks = AgentTasks(log, "chief")
        (listed,) = tasks.page(ListTasksRequest()).tasks

        assert [row.status for row in log.open_runs()] == ["waiting", "waiting"]
        assert listed.status.state == tasks.fold("r1").task.status.state == WORKING


async def test_a_sub_agent_that_is_to_go_on_is_running_to_its_owner(path: Path) -> None:
    with await between_processes(path) as log:
        ((run_id, ref),) = sub_agents_in(log.state("t1")).runs.items()

        assert sub_agent(log, run_id, ref).status == "running"
